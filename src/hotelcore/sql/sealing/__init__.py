"""What is stored sealed, and the keys of those whom it is about."""
