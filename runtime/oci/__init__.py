"""The OCI runtime spec: defaults, validation, the bundle's config.json."""
