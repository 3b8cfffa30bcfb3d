"""Keeps data loading going when videos can't be read and when workers hang, crash or are killed."""
