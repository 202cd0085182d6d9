import numpy as np
import pytest

from napari_convgen.viewer.plot import CurvePlot


@pytest.fixture
def plot(qtbot):
    widget = CurvePlot("dark")
    qtbot.addWidget(widget)
    return widget


def shown(curve):
    x, y = curve.getOriginalDataset()
    return ([] if x is None else list(x)), ([] if y is None else list(y))


def test_curves_and_kept_step_are_drawn(plot):
    plot.show_curves([0.5, 0.25, 0.125], [0.6, 0.3, 0.2])
    plot.mark_kept(2)
    assert shown(plot._loss_curve) == ([1, 2, 3], [0.5, 0.25, 0.125])
    assert shown(plot._criterion_curve)[1] == [0.6, 0.3, 0.2]
    assert plot._kept.isVisible()
    assert 10 ** plot._kept.value() == pytest.approx(2)


def test_a_rule_without_criterion_draws_no_curve_for_it(plot):
    plot.show_curves([0.5, 0.25], [np.nan, np.nan])
    assert not plot._criterion_curve.isVisible()


def test_growing_curves_are_drawn_in_the_end(plot):
    plot.extend([0.5], [0.6], 0)
    plot.extend([0.4, 0.3], [0.5, 0.4], 2)
    plot.mark_kept(2)
    assert plot.n_steps == 3
    assert shown(plot._loss_curve)[0] == [1, 2, 3]


def test_long_curves_keep_their_ends(plot):
    plot.show_curves(np.linspace(1, 0.1, 50_000), np.full(50_000, 0.5))
    x, _ = shown(plot._loss_curve)
    assert x[0] == 1
    assert x[-1] == 50_000
    assert len(x) < 1000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_follows_the_theme(plot, theme):
    from napari.utils.theme import get_theme

    plot.follow_theme(theme)
    assert plot.getAxis("left").textPen().color().name() == get_theme(theme).text.as_hex(format="long")
