"""Parsers of kernel text that collectors share: bytes in, records out, no IO."""
