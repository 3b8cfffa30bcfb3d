"""Times alternatives side by side and tabulates their ratios."""
