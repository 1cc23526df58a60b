"""Protocol Buffers messages of the shim contract, as tables for a small codec."""
