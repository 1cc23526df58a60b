"""The command line of an OCI runtime, as engines call it: `cinspect-oci create`, `start` and so on."""
