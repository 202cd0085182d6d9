"""Runs whose result is written into an OME-Zarr image on the disk, piece by piece."""
