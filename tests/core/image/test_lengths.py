import pytest

from napari_convgen.core.image import Image
from napari_convgen.core.image.lengths import distances


@pytest.mark.parametrize(
    ("unit", "micrometers"),
    [
        ("nm", 1e-3),
        ("nanometers", 1e-3),
        ("Micron", 1),
        ("\N{MICRO SIGN}m", 1),
        ("\N{GREEK SMALL LETTER MU}m", 1),
        ("mm", 1e3),
        ("meter", 1e6),
        ("inch", 25400),
        ("inches", 25400),
        ("Å", 1e-4),
        ("pixel", None),
        ("", None),
    ],
)
def test_distances_are_told_in_micrometers_where_the_unit_is_one_of_length(unit, micrometers):
    image = Image([[0]], scale=(1.0, -0.5, 2.0), units=("second", unit, unit))
    expected = {} if micrometers is None else {"Y": 0.5 * micrometers, "X": 2 * micrometers}
    assert distances(image, "TYX") == pytest.approx(expected)


@pytest.mark.parametrize("scale", [None, (1.0, float("nan")), (0.0, 0.0), (1.0, 1.0, 1.0)])
def test_distances_that_are_not_known_are_left_out(scale):
    image = Image([[0]], scale=scale, units=("nm", "nm"))
    assert set(distances(image, "YX")) <= {"Y"}
