"""Prepares background robustness benchmarks: further splits of a data set, one command each."""
