"""Draws clips, classes and gradients as pictures and films."""
