"""Reconstruct an image from what an instrument measured of it: fill in missing pixels, deblur, enlarge, magnetic resonance."""
