"""Starts runs: from a command line, a sweep or a cluster's job to configs and processes."""
