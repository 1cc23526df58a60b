"""Control groups: where they are mounted, how one is made, limited, frozen, counted and removed."""
