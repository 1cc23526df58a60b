"""One package a subject: its types, how they are derived, its columns."""
