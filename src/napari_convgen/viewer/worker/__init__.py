"""Work in threads of its own, and what all runs in a window have in common."""
