"""The Jacobian of a generator: which structures the generator fits first, and how fast."""
