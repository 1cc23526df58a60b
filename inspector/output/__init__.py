"""Frames as bytes, for programs and for people."""
