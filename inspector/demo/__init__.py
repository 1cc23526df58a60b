"""The demo container: something to look at on a machine where nothing else runs."""
