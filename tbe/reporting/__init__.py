"""Reports the results of runs: tables, comparisons and HTML pages."""
