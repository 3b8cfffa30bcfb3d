"""Prepares data sets: list files from what each is published with, one command each."""
