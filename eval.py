"""Measures a checkpoint: python eval.py task=<task> checkpoint=<path>|latest|random (--help lists all)."""

from tbe.eval import main

if __name__ == "__main__":
    main()
