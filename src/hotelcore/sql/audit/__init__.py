"""The audit log: its entries, and the chain that shows whether all are there."""
