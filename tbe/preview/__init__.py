"""What a network will see, before it is trained."""
