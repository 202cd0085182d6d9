import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_convgen.errors import FileError
from napari_convgen.figures.files import draw, write_curves, write_figure
from napari_convgen.figures.panel import Curve, Picture, Plot

CURVE = Curve("loss", [1, 10, 100], [0.5, float("nan"), 0.125])
PLOT = Plot("Fit", "step", "loss", [CURVE, Curve("noise", [1, 2], [3, 4], "dashes")], "log", "log", [("stop", 10)])
IMAGE = Picture("image", np.array([[0.0, 1.0], [-3.0, 2.0]]), is_signed=True)


def test_each_panel_is_drawn_with_its_words_and_scales():
    figure = draw([PLOT, IMAGE, PLOT, PLOT, PLOT])
    first, second, *_ = figure.axes
    assert (first.get_title(), first.get_xlabel(), first.get_ylabel()) == ("Fit", "step", "loss")
    assert (first.get_xscale(), first.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["loss", "noise"]
    assert [line.get_linestyle() for line in first.lines] == ["-", "--", ":"]
    assert second.images[0].get_clim() == (-3, 3)
    assert not second.axison
    assert [axes.axison for axes in figure.axes] == [True, False, True, True, True, False, False, False]


def test_limits_that_are_given_are_kept():
    [axes] = draw([Picture("image", IMAGE.values, limits=(0, 1))]).axes
    assert axes.images[0].get_clim() == (0, 1)
    assert axes.images[0].get_cmap().name == "gray"


def test_a_span_is_shaded():
    [axes] = draw([replace(PLOT, span=(2.0, 20.0))]).axes
    [shade] = axes.patches
    assert (shade.get_x(), shade.get_width()) == (2.0, 18.0)
    assert not draw([PLOT]).axes[0].patches


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_figure_is_the_same_file(tmp_path, suffix):
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        write_figure(path, [PLOT, IMAGE])
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    if suffix == ".png":
        with Image.open(paths[0]) as picture:
            assert picture.size > (400, 300)
    else:
        assert b"<svg" in first
        assert b"loss" in first


def test_points_are_written_as_a_table(tmp_path):
    write_curves(tmp_path / "curves.csv", [PLOT, IMAGE])
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["plot", "curve", "x", "y"]
    assert rows[1] == ["Fit", "loss", "1", "0.5"]
    assert rows[2] == ["Fit", "loss", "10", "nan"]
    assert rows[-1] == ["Fit", "noise", "2", "4"]
    assert len(rows) == 6


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileError, match="missing"):
        write_figure(tmp_path / "missing" / "figure.png", [IMAGE])
