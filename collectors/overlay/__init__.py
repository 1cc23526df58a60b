"""Understands overlay filesystems from outside: their options, lower layers and upper directory."""
