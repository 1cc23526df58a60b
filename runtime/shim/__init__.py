"""The shim: a process that owns a container, speaks the Task service and outlives whoever started it."""
