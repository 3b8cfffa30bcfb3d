"""Measures a checkpoint: python eval.py task=<task> checkpoint=<path>|latest|random (--help lists all)."""

from tbe.launch.cli import evaluate

if __name__ == "__main__":
    evaluate()
