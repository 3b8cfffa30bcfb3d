"""Turns clips (B, C, T, H, W) into features: the video networks, and a head that classifies."""
