"""Events: published by shims and the engine, kept in a bounded journal, followed by whoever asks."""
