"""Compares the runs of a sweep over seeds by tables and plots with intervals (python -m tbe.reporting.comparison)."""
