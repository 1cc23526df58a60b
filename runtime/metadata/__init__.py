"""What is known of containers when nobody runs: one SQLite file."""
