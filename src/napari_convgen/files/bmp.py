"""BMP files, which are only read."""

from napari_convgen.files.image_file import Format
from napari_convgen.files.pictures import read

FORMAT = Format((".bmp",), read)
