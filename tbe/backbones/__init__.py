"""Video networks from clips (B, C, T, H, W) to features, and a classification head."""
