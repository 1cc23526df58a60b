"""Parsers of kernel text that only collectors read: bytes in, records out, no IO."""
