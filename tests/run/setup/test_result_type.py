import numpy as np
import pytest

from napari_convgen.core.image import Layout, Measured
from napari_convgen.core.noise.models import GaussianNoise
from napari_convgen.core.stopping import ErrorEstimate
from napari_convgen.run.setup.result_type import ResultType


def chosen(setting="auto", dtype="uint8", sigma=1.0, shape=(8, 9)):
    frame = (np.arange(np.prod(shape)).reshape(shape) % 10).astype(dtype)
    channels = 3 if shape[-1] == 3 else 1
    return type_of(setting, frame, GaussianNoise((sigma,) * channels))


def type_of(setting, frame, model):
    layout = Layout.of(frame.shape)
    return ResultType.of(setting, frame.dtype, Measured.whole(frame, layout), layout.is_color, lambda: model)


@pytest.mark.parametrize(
    ("setting", "dtype", "sigma", "expected", "words"),
    [
        ("auto", "uint8", 1.0, "float32", "The result is float32: rounding to uint8"),
        ("auto", "int16", 1.0, "float32", "int16"),
        ("auto", "uint8", 12.0, "uint8", ""),
        ("auto", "uint8", 0.0, "uint8", ""),
        ("auto", "float64", 1.0, "float64", ""),
        ("auto", "bool", 1.0, "bool", ""),
        ("same", "uint8", 1.0, "uint8", "The result is rounded"),
        ("same", "uint8", 12.0, "uint8", ""),
        ("float32", "uint8", 12.0, "float32", "as chosen"),
        ("float32", "float64", 1.0, "float32", "as chosen"),
        ("float32", "float32", 1.0, "float32", ""),
        ("float32", "bool", 1.0, "float32", "as chosen"),
    ],
)
def test_integers_become_floats_where_rounding_would_matter(setting, dtype, sigma, expected, words):
    result = chosen(setting, dtype, sigma)
    assert result.dtype == expected
    assert words in result.note
    assert bool(words) == bool(result.note)
    assert chosen(result.setting, dtype, sigma).dtype == expected


def test_color_is_rounded_with_a_note():
    assert chosen(shape=(8, 9, 3)).dtype == np.uint8
    assert "'float32'" in chosen(shape=(8, 9, 3)).note
    assert chosen("float32", shape=(8, 9, 3)).dtype == np.float32


def test_large_integers_stay_where_floats_have_no_fractions():
    frame = np.arange(72, dtype=np.uint32).reshape(8, 9)
    model = GaussianNoise((1.0,))
    assert type_of("auto", frame, model).dtype == np.float32
    assert type_of("auto", frame + 2**25, model).dtype == np.uint32


def test_the_error_of_rounding_is_added():
    assert chosen("same").with_rounding(ErrorEstimate(0.5, 0.1)) == ErrorEstimate(0.5 + 1 / 12, 0.1)
    assert chosen("float32").with_rounding(ErrorEstimate(0.5, 0.1)) == ErrorEstimate(0.5, 0.1)
    assert chosen("same").with_rounding(None) is None
