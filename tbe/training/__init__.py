"""Trains networks: LightningModules, optimizers, the switches of a fast step, and the CSV log."""
