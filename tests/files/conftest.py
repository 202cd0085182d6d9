from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_convgen.files.images import read_image


@pytest.fixture(scope="session")
def describe():
    """Say all that a TIFF file says, as tifffile reads it."""

    def say(path):
        with tifffile.TiffFile(path) as file:
            series, page = file.series[0], file.series[0].keyframe
            ome = None
            if file.is_ome:
                image = ElementTree.fromstring(file.ome_metadata).find("{*}Image")
                ome = [(element.tag, element.attrib, element.text) for element in image.iter()]
            return {
                "kind": series.kind,
                "axes": series.axes,
                "shape": series.shape,
                "dtype": series.dtype,
                "photometric": page.photometric,
                "planarconfig": page.planarconfig,
                "extrasamples": page.extrasamples,
                "colormap": None if page.colormap is None else page.colormap.tolist(),
                "resolution": page.resolution,
                "resolutionunit": page.resolutionunit,
                "is_bigtiff": file.is_bigtiff,
                "is_compressed": page.compression != 1,
                "profile": page.tags.valueof("InterColorProfile"),
                "imagej": file.imagej_metadata,
                "shaped": file.shaped_metadata,
                "description": page.description if ome is None else None,
                "ome": ome,
            }

    return say


@pytest.fixture
def gray(tmp_path):
    """An image of 6 x 7 pixels, as it is read from a file."""
    path = tmp_path / "gray.tif"
    data = np.random.default_rng(0).integers(0, 200, (6, 7), "uint16")
    tifffile.imwrite(path, data, imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    return read_image(path)
