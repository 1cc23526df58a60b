"""Dialogs: small, in the middle, focus on Cancel."""
