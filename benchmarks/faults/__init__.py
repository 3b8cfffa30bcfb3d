"""Counts what faults do to runs, files and processes, and what is lost by them."""
