"""Evaluates checkpoints: one class for each task of eval.py."""
