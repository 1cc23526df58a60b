"""The host: what it is, how its cgroups are mounted."""
