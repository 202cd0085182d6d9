from dataclasses import replace

import numpy as np
import pyqtgraph as pg
import pytest
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QLabel

from napari_convgen.errors import FileError
from napari_convgen.figures.panel import Curve, Picture, Plot
from napari_convgen.viewer.plots.panels import PanelView, save_panels

PLOT = Plot(
    "Gain & loss",
    "step",
    "error",
    [Curve("rising", [1, 10, 100], [0.1, 1, 0]), Curve("<dots>", [1, 10], [1, 2], "dots")],
    "log",
    "log",
    [("best", 10.0)],
)


@pytest.fixture
def view(qtbot):
    widget = PanelView("dark")
    qtbot.addWidget(widget)
    return widget


def canvas(view):
    return view.findChild(pg.PlotWidget)


def title(view):
    return view.findChild(QLabel).text()


def items(view, kind):
    return [item for item in canvas(view).getPlotItem().items if isinstance(item, kind)]


def test_a_plot_is_drawn_on_its_axes(view):
    view.show_panel(PLOT)
    rising, dots = items(view, pg.PlotDataItem)
    np.testing.assert_array_equal(rising.getOriginalDataset()[1], [0.1, 1, np.nan])
    assert (rising.opts["symbol"], dots.opts["symbol"]) == (None, "o")
    np.testing.assert_allclose(rising.getData()[0], [0, 1, 2])
    [mark] = items(view, pg.InfiniteLine)
    assert (mark.value(), mark.label.format) == (1.0, "best")
    assert canvas(view).getAxis("left").labelText == "error"


def test_a_span_is_shaded_on_either_axis(view):
    view.show_panel(replace(PLOT, span=(10.0, 100.0)))
    [shade] = items(view, pg.LinearRegionItem)
    assert shade.getRegion() == (1.0, 2.0)
    assert not shade.movable
    view.show_panel(replace(PLOT, span=(10.0, 100.0), x_scale="linear"))
    [shade] = items(view, pg.LinearRegionItem)
    assert shade.getRegion() == (10.0, 100.0)


def test_no_curve_is_left_out(view):
    view.show_panel(replace(PLOT, curves=[Curve(str(i), [1, 2], [i + 1, 2]) for i in range(9)]))
    assert len(items(view, pg.PlotDataItem)) == 9
    assert all(f">{i}</font>" in title(view) for i in range(9))


def test_title_names_the_curves_in_their_colors(view):
    view.show_panel(PLOT)
    colors = [item.opts["pen"].color().name() for item in items(view, pg.PlotDataItem)[:1]]
    assert f"<font color='{colors[0]}'>rising</font>" in title(view)
    assert "Gain &amp; loss" in title(view)
    assert "&lt;dots&gt;" in title(view)


def test_a_panel_takes_the_place_of_the_last_one(view):
    view.show_panel(PLOT)
    view.show_panel(Picture("Kernel", np.array([[0.0, 1.0], [2.0, 3.0]]), (0.0, 4.0)))
    assert not items(view, pg.PlotDataItem)
    [image] = items(view, pg.ImageItem)
    assert tuple(image.levels) == (0.0, 4.0)
    assert not canvas(view).getAxis("left").isVisible()
    view.show_panel(PLOT)
    assert not items(view, pg.ImageItem)
    assert canvas(view).getAxis("left").isVisible()


def test_signed_pictures_are_white_at_zero(view):
    view.show_panel(Picture("Kernel", np.array([[-1.0, 3.0]]), is_signed=True))
    [image] = items(view, pg.ImageItem)
    assert tuple(image.levels) == (-3.0, 3.0)


def test_nothing_is_drawn_without_a_panel(view):
    view.show_panel(PLOT)
    view.show_panel(None)
    assert view.isHidden()
    assert not items(view, pg.PlotDataItem)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_follows_the_theme(view, theme):
    view.show_panel(PLOT)
    view.follow_theme(theme)
    color = get_theme(theme).text.as_hex(format="long")
    assert canvas(view).getAxis("left").textPen().color().name() == color
    [mark] = items(view, pg.InfiniteLine)
    assert mark.pen.color().name() == color


def test_background_follows_the_theme(view):
    view.show_panel(PLOT)
    view.show()
    for theme in ("dark", "light"):
        view.follow_theme(theme)
        corner = canvas(view).grab().toImage().pixelColor(2, 2).name()
        assert corner == get_theme(theme).background.as_hex(format="long")


def test_large_steps_are_short(view):
    axis = canvas(view).getAxis("bottom")
    assert axis.logTickStrings([0, 3, 4, 6], 1, 1) == ["1", "1000", "1e4", "1e6"]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.csv", b"plot,curve,x,y")])
def test_panels_are_saved_as_the_ending_says(tmp_path, name, start):
    save_panels(tmp_path / name, [PLOT])
    assert (tmp_path / name).read_bytes().startswith(start)


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"'a\.pdf'"):
        save_panels(tmp_path / "a.pdf", [PLOT])
    assert not list(tmp_path.iterdir())
