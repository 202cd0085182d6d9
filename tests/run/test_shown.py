"""What results show of themselves, and what the help of the verbs says."""

from dataclasses import replace

import numpy as np
import pytest

from napari_convgen import compare, compare_fits, denoise, reconstruct, spectrum
from napari_convgen.config import PRESETS, Config, StoppingConfig, fixed_input_presets
from napari_convgen.config.base import kinds_of
from napari_convgen.core.image import Layout
from napari_convgen.figures.panel import Picture, Plot

QUICK = Config().replace({"generator.n_channels": 4, "generator.n_scales": 1, "n_steps": 8, "device": "cpu"})


def noisy(shape=(20, 23)):
    values = np.linspace(50, 150, np.prod(shape)).reshape(shape)
    return (values + np.random.default_rng(0).normal(0, 8, shape)).astype(np.float32)


def test_a_result_is_shown_in_five_lines_and_in_a_notebook_with_a_figure():
    result = denoise(noisy(), QUICK)
    first, second, *_ = lines = repr(result).splitlines()
    assert len(lines) == 5
    assert first == "DenoiseResult: 20 × 23 (YX), float32"
    assert second == f"Kept step {result.step}. {result.reason}"
    shown = result._repr_html_()
    assert f"Kept step {result.step}" in shown
    assert "data:image/png;base64," in shown
    assert [axes.get_title() for axes in result.plot().axes[:2]] == ["Input", f"Step {result.step}"]


@pytest.mark.parametrize(
    ("shape", "axes", "is_color", "plane"),
    [
        ((3, 12, 14), "ZYX", False, (12, 14)),
        ((12, 14, 3), "YXS", True, (12, 14, 3)),
        ((3, 14, 12), "CXY", False, (12, 14)),
        ((40,), "X", False, (1, 40)),
    ],
)
def test_the_middle_of_what_has_no_rows_and_columns_alone_is_shown(shape, axes, is_color, plane):
    image = noisy(shape)
    image.flat[5] = np.nan
    result = denoise(image, QUICK, axes=axes)
    assert len(repr(result).splitlines()) == 5
    pictures = [panel for panel in result.panels() if isinstance(panel, Picture)]
    assert [picture.values.shape for picture in pictures] == [plane, plane]
    assert isinstance(result.panels()[-1], Plot)
    assert is_color == (pictures[0].limits is None)
    result._repr_html_()


@pytest.fixture(scope="module")
def enlarged():
    """A reconstruction without trials of the noise, which take longest of a small image."""
    return reconstruct(
        noisy(), PRESETS["quick"].replace({"noise.kind": "gaussian", "noise.sigma": 0.0}), problem="enlarge"
    )


def test_a_reconstruction_is_shown_likewise(enlarged):
    assert repr(enlarged).splitlines()[0] == "ReconstructResult of the problem 'enlarge': 40 × 46 (YX), float32"
    assert len(repr(enlarged).splitlines()) == 5
    assert "data:image/png" in enlarged._repr_html_()


def test_a_comparison_is_shown_as_its_table_with_the_pictures_of_all_methods():
    result = compare(noisy(), QUICK, methods=["wavelet", "convgen"], reference=noisy() + 1)
    first, head, _, *rows = repr(result).splitlines()
    assert first == "CompareResult: 2 methods on 20 × 23 (YX), no notes"
    assert "PSNR" in head
    assert len(rows) == 3
    titles = [method.title for method in result.methods]
    assert [panel.title for panel in result.panels()] == ["Noisy", *titles, "Reference"]
    assert "data:image/png" in result._repr_html_()


def test_fits_and_a_spectrum_are_shown_in_a_few_lines_with_their_plots():
    fits = compare_fits(noisy(), QUICK)
    assert repr(fits).splitlines()[0] == "CompareFitsResult: image, noise"
    assert set(fits.sentences()) < set(repr(fits).splitlines())
    assert "data:image/png" in fits._repr_html_()
    result = spectrum(noisy(), QUICK, rank=5)
    first, second, *_ = repr(result).splitlines()
    assert first.startswith("SpectrumResult: the Jacobian with respect to ")
    assert second.startswith("Step 0: of the image's energy, ")
    assert "data:image/png" in result._repr_html_()


def test_the_help_of_the_verbs_names_all_presets_and_rules():
    names = [*PRESETS, *kinds_of(StoppingConfig)]
    assert [name for name in names if f'"{name}"' not in denoise.__doc__] == []
    for verb in (compare_fits, spectrum, reconstruct):
        assert [name for name in fixed_input_presets() if f'"{name}"' not in verb.__doc__] == []


def test_the_image_of_a_scan_is_shown_by_its_magnitude(enlarged):
    result = replace(enlarged, layout=Layout("CYX", "YX"))
    result = replace(result, image=1j * result.image)
    assert "(YX), complex64" in repr(result)
    assert np.isrealobj(result.panels()[0].values)
