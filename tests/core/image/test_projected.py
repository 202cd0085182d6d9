import pytest

from napari_convgen.core.image import projection_notes


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MAX_cells.tif", "maximum"),
        ("cells_MIP.tif", "maximum"),
        ("cells-maxIP.png", "maximum"),
        ("Maximum intensity projection of cells", "maximum"),
        ("day 3 max_proj", "maximum"),
        ("MIN_cells.tif", "minimum"),
        ("STD_cells.tif", "standard deviation"),
    ],
)
def test_a_projection_is_told_by_its_name(name, kind):
    [note] = projection_notes(name)
    assert f"'{name}' says that this is the {kind} over a stack" in note


@pytest.mark.parametrize(
    "name", ["AVG_cells.tif", "SUM_cells.tif", "max_planck.tif", "mipmap.png", "maximal", "projection"]
)
def test_other_names_say_nothing(name):
    assert projection_notes(name) == ()
