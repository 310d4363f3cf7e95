"""One training step: forward, backward, reduce, decide, update. Pure torch; knows nothing of runs, files or Ray."""
