"""Training callbacks: bad losses, signals, buffers across processes, progress and a kNN probe."""
