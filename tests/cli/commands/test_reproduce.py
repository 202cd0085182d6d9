"""The fastest studies, from the command line to the files; what each finds is tested beside the study."""

import csv
import json

import pytest
import torch
from PIL import Image

from napari_convgen import cli
from napari_convgen.figures.files import write_figure
from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.reproduction import STUDIES, linear_model, load_study
from napari_convgen.reproduction.studies import theorem4
from napari_convgen.reproduction.study import Claim, Findings, Setting

FASTEST = ["fig3", "fig6", "theorem4"]


@pytest.fixture
def study(monkeypatch):
    """A study in the place of another that says what it was given."""
    seen = []

    def found(setting):
        part = setting.keep({"part": 1}, lambda: [2.0])
        setting.report_progress("at work", 0.5)
        seen.append(setting)
        claims = [
            Claim("more than 1 | less", f"{part[0]:g}", "above 1", True),
            Claim("3", "4", "equal", False, "So it is."),
        ]
        return Findings(claims, [Plot("p", "x", "y", [Curve("c", [0, 1], [1, 2])])], {"part": part}, ["Smaller."])

    monkeypatch.setattr("napari_convgen.cli.commands.reproduce.load_study", lambda name: found)
    return seen


def test_every_study_can_be_loaded():
    assert all(callable(load_study(name)) for name in STUDIES)


def test_the_fastest_studies_write_their_files_and_agree(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(theorem4, "QUICK_WIDTHS", (64, 512))
    for module in (theorem4, linear_model):
        monkeypatch.setattr(module, "N_STEPS", 40)
    monkeypatch.setattr("napari_convgen.cli.commands.reproduce.write_figure", few_drawings)
    out = tmp_path / "out"
    assert cli.main(["reproduce", *FASTEST, "--device", "cpu", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    readme = (out / "README.md").read_text()
    for name in FASTEST:
        record = json.loads((out / f"{name}.json").read_text())
        with Image.open(out / f"{name}.png") as picture:
            assert min(picture.size) > 200
        with (out / f"{name}.csv").open(newline="") as file:
            assert next(csv.reader(file)) == ["plot", "curve", "x", "y"]
        assert record["numbers"]
        assert record["device"] == "cpu"
        assert all(claim["agrees"] or claim["because"] for claim in record["claims"])
        assert any(claim["agrees"] for claim in record["claims"])
        assert all(claim["ours"].replace("|", "\\|") in readme for claim in record["claims"])
        assert name in printed
    assert b"<svg" in (out / f"{FASTEST[0]}.svg").read_bytes()


def test_a_study_of_the_other_size_is_only_replaced_if_that_is_asked_for(tmp_path, study, capsys):
    command = ["reproduce", "fig3", "--device", "cpu", "--out", str(tmp_path)]
    assert cli.main(command) == 0
    assert cli.main(command) == 0  # it goes on in its own folder
    capsys.readouterr()
    assert cli.main([*command, "--full"]) == 2
    assert (
        "fig3.json holds the study with --quick, and would be replaced by one with --full." in capsys.readouterr().err
    )
    assert json.loads((tmp_path / "fig3.json").read_text())["size"] == "quick"
    assert cli.main([*command, "--full", "--force"]) == 0
    assert json.loads((tmp_path / "fig3.json").read_text())["size"] == "full"


def test_a_readme_of_the_user_is_only_replaced_if_that_is_asked_for(tmp_path, study, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("# My project\n")
    command = ["reproduce", "fig3", "--device", "cpu", "--out", str(tmp_path)]
    assert cli.main(command) == 2
    assert "README.md was not written by this command, and would be replaced" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert readme.read_text() == "# My project\n"
    assert cli.main([*command, "--force"]) == 0
    assert "statements agree" in readme.read_text()


@pytest.mark.parametrize("suffix", [".png", ".svg", ".csv", ".json"])
def test_a_figure_of_the_user_is_only_replaced_if_that_is_asked_for(tmp_path, study, capsys, suffix):
    mine = tmp_path / f"fig2{suffix}"
    mine.write_text('{"study": "of mine"}')
    command = ["reproduce", "fig2", "--device", "cpu", "--out", str(tmp_path)]
    assert cli.main(command) == 2
    assert f"fig2{suffix} was not written by this command, and would be replaced." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert mine.read_text() == '{"study": "of mine"}'
    assert cli.main(["reproduce", "fig3", "--device", "cpu", "--out", str(tmp_path)]) == 0  # beside it
    assert mine.read_text() == '{"study": "of mine"}'
    assert "fig2" not in (tmp_path / "README.md").read_text()
    assert cli.main([*command, "--force"]) == 0
    assert mine.read_bytes() != b'{"study": "of mine"}'


def few_drawings(path, panels):
    """Write a picture of each figure, and a drawing of the first alone: that takes as long again."""
    if path.suffix == ".png" or path.stem == FASTEST[0]:
        write_figure(path, panels)


def test_a_line_says_what_the_paper_says_and_what_we_get(tmp_path, study, capsys):
    assert cli.main(["reproduce", "fig1", "theorem1", "--quick", "--out", str(tmp_path)]) == 0
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert "2 of 4 statements agree." in lines[2]
    assert any(
        line.startswith("| [fig1](#fig1) | more than 1 \\| less | 2 | above 1 | yes | quick |") for line in lines
    )
    assert any("| **no** |" in line for line in lines)
    assert {"So it is.", "Smaller.", "## theorem1"} <= set(lines)
    assert "1 of 2 statements agree" in capsys.readouterr().out
    assert not study[0].is_full
    assert study[0].device.type in ("cpu", "cuda", "mps")


def test_what_was_done_before_is_kept_and_stays_in_the_table(tmp_path, study):
    assert cli.main(["reproduce", "fig1", "--out", str(tmp_path), "--quiet"]) == 0
    [cell] = (tmp_path / "cells").iterdir()
    words = json.loads(cell.read_text()) | {"seconds": 100.0, "result": [7.0]}
    cell.write_text(json.dumps(words))
    assert cli.main(["reproduce", "fig2", "--full", "--out", str(tmp_path), "--quiet"]) == 0
    record = json.loads((tmp_path / "fig2.json").read_text())
    assert record["numbers"] == {"part": [7.0]}
    assert record["seconds"] >= 100
    assert record["size"] == "full"
    text = (tmp_path / "README.md").read_text()
    assert text.index("## fig1") < text.index("## fig2")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fig99"], "There is no study 'fig99'. The studies are fig1"),
        ([], "Name the studies, or give --all"),
        (["fig1", "--all"], "Name the studies, or give --all"),
        (["fig3", "--images", "nowhere"], "--images must be a folder"),
        (["fig3", "--quick", "--full"], "not allowed with"),
        (["fig3", "--device", "cuda:99"], "cuda:99"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["reproduce", *words, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert cli.main(["reproduce", "fig3", "--out", str(tmp_path / "out")]) == 2
    assert f"{tmp_path / 'out'} is a file. Name a folder." in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_parts_are_not_kept_unless_asked_for():
    setting = Setting(False, torch.device("cpu"))
    assert [setting.keep({}, lambda: 1), setting.keep({}, lambda: 2)] == [1, 2]
    setting.report_progress("nothing")
