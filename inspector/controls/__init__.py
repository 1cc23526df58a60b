"""Acting on containers: the embedded engine's, other engines' and those of none."""
