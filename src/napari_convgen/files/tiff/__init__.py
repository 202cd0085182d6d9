"""TIFF files: plain, ImageJ and OME. All metadata are kept as the keyword arguments with which `tifffile` writes them again."""

from napari_convgen.files.image_file import WritableFormat
from napari_convgen.files.tiff.reading import read, read_pixel_size
from napari_convgen.files.tiff.recipe import read_recipe
from napari_convgen.files.tiff.writing import check, write

FORMAT = WritableFormat(
    (".tif", ".tiff"),
    read,
    check=check,
    write=write,
    recipe=read_recipe,
    pixel_size=read_pixel_size,
    has_orientation=True,
)
