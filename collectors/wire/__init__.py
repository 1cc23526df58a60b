"""What the engines' sockets speak."""
