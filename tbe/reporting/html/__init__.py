"""Self-contained HTML report of runs (python -m tbe.reporting --help)."""
