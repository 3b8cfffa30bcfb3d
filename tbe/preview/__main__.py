"""Draws the first batch of a training: python -m tbe.preview experiment=<recipe> [what else train.py takes]."""

from tbe.launch.cli import preview

if __name__ == "__main__":
    preview()
