"""Engines: which there are, and whether they answer."""
