"""Who owns this? From a pid, an interface, a port, a path, an inode to a container, with the evidence."""
