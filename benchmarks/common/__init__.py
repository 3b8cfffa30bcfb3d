"""Times two ways of doing the same side by side and tabulates the ratios."""
