"""Events of shims, engines and the kernel, in one order."""
