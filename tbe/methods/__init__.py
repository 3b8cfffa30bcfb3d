"""Learns without labels: what a method compares, and the losses on its comparisons."""
