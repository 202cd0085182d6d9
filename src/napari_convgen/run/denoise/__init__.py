"""Denoise an array."""
