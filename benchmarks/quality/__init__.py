"""How good what commands make is, where the truth is known."""
