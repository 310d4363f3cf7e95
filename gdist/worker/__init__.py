"""One worker's life: prepare, join a generation, step, leave. Runs under Ray, under torchrun, or alone."""
