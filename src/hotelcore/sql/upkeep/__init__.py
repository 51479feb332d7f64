"""What makes the tables, changes them, guards them, and proves what is in them."""
