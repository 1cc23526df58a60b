"""Netlink without a library, for what is asked often: messages, and what answers mean."""
