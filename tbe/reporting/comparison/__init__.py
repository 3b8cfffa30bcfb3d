"""Compares runs of a sweep over seeds: a table and pictures with intervals (python -m tbe.reporting.comparison)."""
