"""Who owns this? A box to type anything into, and the containers that it belongs to."""
