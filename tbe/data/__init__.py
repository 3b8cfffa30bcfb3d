"""Loads video clips: from list files to the batches that a network consumes."""
