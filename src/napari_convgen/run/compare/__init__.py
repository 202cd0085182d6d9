"""Compare denoisers on one array."""
