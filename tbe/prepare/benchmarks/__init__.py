"""Prepares benchmarks of background robustness: further splits of a data set, one command each."""
