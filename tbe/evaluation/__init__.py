"""Evaluates networks: features, metrics, perturbed clips, confidence intervals and tasks."""
