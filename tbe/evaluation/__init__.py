"""Measures what a network has learned: features, metrics, perturbed clips and confidence intervals."""
