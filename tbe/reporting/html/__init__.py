"""One self-contained HTML page of one or several runs: python -m tbe.reporting --help."""
