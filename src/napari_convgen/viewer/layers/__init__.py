"""Layers in, layers out: the only place where napari layers become arrays and back."""
