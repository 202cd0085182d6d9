"""OME-Zarr images, versions 0.4 and 0.5: read as they are needed, written with all levels of their pyramid."""

from napari_convgen.files.image_file import WritableFormat
from napari_convgen.files.ome_zarr.reading import is_zarr, read, read_recipe
from napari_convgen.files.ome_zarr.writing import check, write

FORMAT = WritableFormat((".zarr",), read, is_zarr, recipe=read_recipe, check=check, write=write)
