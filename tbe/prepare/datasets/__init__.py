"""Prepares data sets: list files from their published annotations, one command each."""
