"""Injects faults into runs, files and processes, and counts the outcomes and losses."""
