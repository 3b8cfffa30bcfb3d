"""Watches over a training: bad losses, signals, buffers across processes, progress and a kNN probe."""
