"""Draws clips, class counts and gradients as pictures and animations."""
