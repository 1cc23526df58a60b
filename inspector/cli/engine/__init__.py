"""The embedded engine's verbs, a module each; options and output as Docker's and Podman's."""
