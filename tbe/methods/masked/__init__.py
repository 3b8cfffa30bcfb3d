"""Masked modelling: most places of a clip are hidden from the encoder, and predicted from the few that it sees."""
