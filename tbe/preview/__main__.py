"""Draws the first training batch: python -m tbe.preview experiment=<recipe> [further overrides of train.py]."""

from tbe.launch.cli import preview

if __name__ == "__main__":
    preview()
