"""Loads clips of videos, from list files to the batches that a network is given."""
