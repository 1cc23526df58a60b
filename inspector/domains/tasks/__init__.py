"""What a container's processes hold: descriptors, sockets, time in the queue, limits of their own."""
