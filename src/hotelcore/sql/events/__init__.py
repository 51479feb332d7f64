"""The outbox and all that the relay keeps beside it."""
