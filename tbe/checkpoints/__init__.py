"""Writes checkpoints that are whole or absent, and reads them as plain types that build nothing unsafe."""
