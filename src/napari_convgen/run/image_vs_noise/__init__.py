"""Fit one generator to an image and to noise, side by side."""
