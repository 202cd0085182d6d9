import re
from types import SimpleNamespace

import numpy as np
import pyqtgraph as pg
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QPointF, Qt

from napari_convgen.config import GROUPS, Config
from napari_convgen.viewer.plots.curves import CurvePlot, LogAxis


@pytest.fixture
def plot(qtbot):
    widget = CurvePlot("dark")
    qtbot.addWidget(widget)
    return widget


def curves(plot):
    """Return the curves of the loss and of the criterion."""
    return plot.plotItem.listDataItems()


def shown(curve):
    x, y = curve.getOriginalDataset()
    return ([] if x is None else list(x)), ([] if y is None else list(y))


def lines(plot):
    """Return the line of the kept step, and the marks of the rules."""
    found = [item for item in plot.plotItem.items if isinstance(item, pg.InfiniteLine)]
    [kept] = [line for line in found if hasattr(line, "label")]
    return kept, [line for line in found if line is not kept and line.isVisible()]


def interval(plot):
    """Return the shade of the steps that cannot be told from the best."""
    [found] = [item for item in plot.plotItem.items if isinstance(item, pg.LinearRegionItem)]
    return found


def curve_names(plot):
    """Return the names of the curves, each after its mark."""
    return re.findall(r"— (.+?)(?=\s+—|\s*$)", plot.plotItem.titleLabel.item.toPlainText())


def place(plot, item):
    """Return the place of a part of the plot, in pixels."""
    return plot.mapFromScene(item.sceneBoundingRect()).boundingRect()


def test_curves_and_kept_step_are_drawn(plot):
    plot.show_curves([0.5, 0.25, 0.125], [0.6, 0.3, 0.2])
    plot.mark_kept(2)
    loss, criterion = curves(plot)
    assert shown(loss) == ([1, 2, 3], [0.5, 0.25, 0.125])
    assert shown(criterion)[1] == [0.6, 0.3, 0.2]
    kept, _ = lines(plot)
    assert kept.isVisible()
    assert 10 ** kept.value() == pytest.approx(2)


def test_a_rule_without_criterion_draws_no_curve_for_it(plot):
    plot.show_curves([0.5, 0.25], [np.nan, np.nan])
    assert not curves(plot)[1].isVisible()


def test_only_the_curves_that_there_are_have_a_name(plot):
    plot.show_curves([], [])
    assert curve_names(plot) == []
    plot.show_curves([0.3, 0.2], [np.nan, np.nan])
    assert curve_names(plot) == ["fitted pixels"]
    plot.show_curves([0.3, 0.2], [0.4, 0.3])
    assert curve_names(plot) == ["fitted pixels", "held-out pixels"]


def test_the_name_of_the_criterion_is_what_the_rule_watches(plot):
    plot.show_curves([0.3, 0.2], [0.4, 0.3])
    plot.name_criterion("Stein's estimate")
    plot.follow_theme("light")
    assert curve_names(plot)[1] == "Stein's estimate"


@pytest.mark.parametrize(
    "criterion", sorted({rule.criterion for rule in GROUPS["stopping"].values() if rule.criterion})
)
@pytest.mark.parametrize("width", [600, 280, 230])
def test_names_are_whole_and_cover_no_curve(plot, qtbot, width, criterion):
    plot.name_criterion(criterion)
    plot.show_curves([0.3, 0.2], [0.4, 0.3])
    for each in (600, width):  # it was wider before
        plot.resize(each, 200)
        qtbot.wait(50)
    assert curve_names(plot) == ["fitted pixels", criterion]
    names, axes = place(plot, plot.plotItem.titleLabel.item), place(plot, plot.plotItem.vb)
    assert names.bottom() <= axes.top() + 1
    assert plot.rect().contains(names)
    assert axes.height() > 80


FALLING, FLAT = (lambda steps: 0.05 * steps**-0.7 + 0.002, lambda steps: 0.05 * steps**-0.01)
"""Losses of a generator that begins with nothing, and of one that begins near the end."""


@pytest.mark.parametrize("curve", [FALLING, FLAT])
@pytest.mark.parametrize("step", [1, 2, 120, 600])
def test_the_words_beside_the_line_are_whole_and_cover_no_curve(plot, qtbot, step, curve):
    steps = np.arange(1, 601)
    plot.show_curves(0.9 * curve(steps) - 0.001, curve(steps))
    plot.mark_kept(step)
    plot.resize(280, 200)
    qtbot.wait(50)
    words = lines(plot)[0].label.sceneBoundingRect()
    assert plot.plotItem.vb.sceneBoundingRect().contains(words)
    for curve in curves(plot):
        x, y = np.log10(curve.getOriginalDataset())
        points = [plot.plotItem.vb.mapViewToScene(QPointF(*each)) for each in zip(x, y, strict=True)]
        assert not any(words.contains(point) for point in points)


def test_a_step_can_be_marked_before_there_are_curves(plot):
    plot.mark_kept(30)
    assert lines(plot)[0].label.format == "keep 30"


def test_growing_curves_are_drawn_in_the_end(plot):
    plot.extend([0.5], [0.6], 0)
    plot.extend([0.4, 0.3], [0.5, 0.4], 2)
    plot.mark_kept(2)
    assert plot.n_steps == 3
    assert shown(curves(plot)[0])[0] == [1, 2, 3]


def test_a_plot_that_appears_has_its_curves(plot):
    for step in (1, 2):
        plot.show_progress(SimpleNamespace(step=step, losses=[0.5 / step], criteria=[0.6], kept_step=step))
        assert plot.isHidden() == (step == 1)
    assert shown(curves(plot)[0])[0] == [1, 2]


def test_long_curves_keep_their_ends(plot):
    plot.show_curves(np.linspace(1, 0.1, 50_000), np.full(50_000, 0.5))
    x, _ = shown(curves(plot)[0])
    assert x[0] == 1
    assert x[-1] == 50_000
    assert len(x) < 1000


@pytest.mark.parametrize("ends", [(1, 1e6), (0.02, 0.5), (1.1, 1.9), (0.31, 0.34), (0.041, 0.0415), (4.1e-5, 4.9e-5)])
def test_an_axis_of_any_range_has_two_numbers_at_least(ends):
    axis = LogAxis("left")
    [(_, places)] = axis.logTickValues(*np.log10(ends), 100, None)
    labels = axis.logTickStrings(places, 1, None)
    assert 2 <= len(set(labels)) == len(labels) < 10
    assert all(ends[0] <= float(label) <= ends[1] for label in labels)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_follows_the_theme(plot, theme):
    from napari.utils.theme import get_theme

    plot.show_curves([0.3, 0.2], [0.4, 0.3])
    plot.follow_theme(theme)
    color = get_theme(theme).text.as_hex(format="long")
    assert plot.getAxis("left").textPen().color().name() == color
    assert plot._kept.label.color.name() == color
    assert f"color:{color}" in plot.plotItem.titleLabel.item.toHtml()


def drag(plot, *steps):
    """Move the line as the mouse does, then let it go."""
    kept, _ = lines(plot)
    for step in steps:
        kept.setValue(np.log10(step))
        kept.sigDragged.emit(kept)
    kept.sigPositionChangeFinished.emit(kept)


@pytest.fixture
def finished(plot):
    """A plot of a fit that has ended, and what it emits."""
    emitted = []
    plot.show_curves(np.linspace(1, 0.1, 100), np.full(100, 0.5))
    plot.show_choice([1, 10, 50, 100], (50, 100), {"held-out": 50, "whiteness": 10, "agreement": 10})
    plot.mark_kept(50)
    plot.dragged.connect(lambda step: emitted.append(("dragged", step)))
    plot.dropped.connect(lambda step: emitted.append(("dropped", step)))
    return plot, emitted


def test_the_line_snaps_to_snapshots_and_emits_where_it_is_left(finished):
    plot, emitted = finished
    drag(plot, 45, 20, 14, 13)
    assert emitted == [("dragged", 10), ("dropped", 10)]
    kept, _ = lines(plot)
    assert 10 ** kept.value() == pytest.approx(10)
    assert kept.label.toPlainText() == "keep 10"


def test_a_line_that_comes_back_has_changed_nothing(finished):
    plot, emitted = finished
    drag(plot, 12, 48)
    assert emitted == [("dragged", 10), ("dragged", 50)]
    drag(plot, 49)
    assert len(emitted) == 2


def test_the_mouse_drags_the_line(finished, qtbot):
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    plot, emitted = finished
    plot.resize(400, 300)
    plot.show()
    qtbot.waitExposed(plot)
    qtbot.wait(50)
    view = plot.plotItem.vb
    top = view.viewRect().center().y()

    def mouse(kind, step, button, buttons):
        place = QPointF(plot.mapFromScene(view.mapViewToScene(QPointF(np.log10(step), top))))
        viewport = plot.viewport()
        event = QMouseEvent(
            kind, place, QPointF(viewport.mapToGlobal(place.toPoint())), button, buttons, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(viewport, event)
        qtbot.wait(20)

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    mouse(QEvent.Type.MouseMove, 50, none, none)
    mouse(QEvent.Type.MouseButtonPress, 50, left, left)
    for step in (40, 30, 20, 10):
        mouse(QEvent.Type.MouseMove, step, none, left)
    mouse(QEvent.Type.MouseButtonRelease, 10, left, none)
    assert emitted[-1] == ("dropped", 10)


def test_the_line_can_be_moved_only_when_there_is_something_to_choose(finished):
    plot, _ = finished
    assert lines(plot)[0].movable
    plot.clear_curves()
    kept, marks = lines(plot)
    assert not kept.movable
    assert not interval(plot).isVisible()
    assert marks == []


def test_interval_is_shaded_and_rules_that_agree_share_a_mark(finished):
    plot, _ = finished
    assert interval(plot).isVisible()
    assert [10**end for end in interval(plot).getRegion()] == pytest.approx([50, 100])
    _, marks = lines(plot)
    assert [mark.toolTip() for mark in marks] == ["whiteness, agreement: step 10", "held-out: step 50"]
    assert [10 ** mark.value() for mark in marks] == pytest.approx([10, 50])


def test_marks_take_no_room(finished):
    plot, _ = finished
    plot.show_choice([1], (1, 10_000), {"sure": 9_000})
    plot.show()
    plot.plotItem.vb.updateAutoRange()
    _, high = plot.plotItem.vb.viewRange()[0]
    assert high < np.log10(1_000)


def test_a_plot_is_deleted_right_after_its_curves_were_cleared(qtbot):
    plot = CurvePlot("dark")
    plot.show()
    plot.show_curves([2, 1], [3, 2])
    qtbot.wait(50)
    plot.clear_curves()
    with qtbot.capture_exceptions() as raised:
        plot.deleteLater()
        QCoreApplication.sendPostedEvents(plot, QEvent.Type.DeferredDelete)
    assert raised == []


def test_a_plot_with_no_curve_to_show_is_hidden(plot):
    assert plot.isHidden()
    for steps, is_hidden in (([2], True), ([2, 1], False), ([], True)):
        plot.show_curves(steps, steps)
        assert plot.isHidden() == is_hidden
    plot.begin(Config())
    assert plot.isHidden()
