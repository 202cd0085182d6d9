"""Look at the Jacobian of a generator beside an image."""
