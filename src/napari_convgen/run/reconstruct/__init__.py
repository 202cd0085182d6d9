"""Reconstruct an image from what an instrument measured of it: pixels, blurred or larger ones, k-space, or sums of pixels."""
