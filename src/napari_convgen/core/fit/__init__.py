"""The loop that fits a generator to a measurement, and what keeps it healthy and quick."""
