"""Verifies, re-encodes and samples the videos and lists of any data set, one command each."""
