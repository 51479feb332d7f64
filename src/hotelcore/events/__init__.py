"""What happens in a hotel, as typed facts, and the bus that tells of them."""
