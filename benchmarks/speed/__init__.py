"""Measures training steps, loading and evaluation against other ways of doing the same."""
