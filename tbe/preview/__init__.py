"""Previews what a network will see in training."""
