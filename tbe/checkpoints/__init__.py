"""Writes checkpoints atomically and reads them safely: plain types, and only known classes are built."""
