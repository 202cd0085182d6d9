import pytest
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel

from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.viewer.plots.tabs import PlotTabs


def plot(title):
    return Plot(title, "x", "y", [Curve("", [1, 2], [3, 4])])


@pytest.fixture
def tabs(qtbot):
    widget = PlotTabs("dark")
    qtbot.addWidget(widget)
    row = QHBoxLayout()
    row.addWidget(QLabel("in a row"))
    widget.add_page("First", 2, "Of the first.", [QLabel("above"), row], [QLabel("below")], 150)
    widget.add_page("Second", 1, "Of the second.")
    return widget


def answer(monkeypatch, path, chosen=""):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), chosen))


def test_pages_have_their_words_around_the_plots(tabs):
    column = tabs.widget(0).layout()
    found = [column.itemAt(i).widget() for i in range(column.count())]
    assert (found[0].text(), found[1], found[2:4], found[4].text()) == ("above", None, tabs.views["First"], "below")
    assert tabs.views["First"][1].minimumHeight() == 150
    assert tabs.tabToolTip(1) == "Of the second."


def test_panels_take_the_place_of_the_last_ones_and_what_is_missing_is_hidden(tabs):
    tabs.show_panels({"First": [plot("a"), plot("b")], "Second": [plot("c")]})
    assert [[view.panel.title for view in views] for views in tabs.views.values()] == [["a", "b"], ["c"]]
    tabs.show_panels({"First": [plot("d")]})
    assert [[view.panel and view.panel.title for view in views] for views in tabs.views.values()] == [
        ["d", None],
        [None],
    ]
    assert tabs.views["Second"][0].isHidden()


def test_the_open_page_is_saved(tabs, tmp_path, monkeypatch):
    tabs.show_panels({"First": [plot("a")], "Second": [plot("c")]})
    tabs.show_page("Second")
    assert tabs.open_page == "Second"
    answer(monkeypatch, tmp_path / "mine.csv")
    tabs.save()
    assert (tmp_path / "mine.csv").read_text().splitlines()[1].startswith("c,")


@pytest.mark.parametrize(("chosen", "made"), [("CSV table of the curves (*.csv)", "mine.csv"), ("", "mine.png")])
def test_a_name_without_an_ending_gets_that_of_the_choice(tabs, tmp_path, monkeypatch, chosen, made):
    tabs.show_panels({"First": [plot("a")]})
    answer(monkeypatch, tmp_path / "mine", chosen)
    tabs.save()
    assert [path.name for path in tmp_path.iterdir()] == [made]


def test_no_answer_saves_nothing(tabs, tmp_path, monkeypatch, notes):
    answer(monkeypatch, "")
    tabs.save()
    assert not list(tmp_path.iterdir())
    assert not notes


def test_what_cannot_be_saved_is_one_notification(tabs, tmp_path, monkeypatch, notes):
    answer(monkeypatch, tmp_path / "mine.pdf")
    tabs.save()
    assert [".png, .svg, .csv" in note.message for note in notes] == [True]
