"""Self-supervised pretraining methods and their losses."""
