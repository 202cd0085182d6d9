"""Explore a fixed upsampling kernel and the filter that it induces."""
