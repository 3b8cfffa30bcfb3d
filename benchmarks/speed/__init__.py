"""Benchmarks of training steps, loading and evaluation against alternatives."""
