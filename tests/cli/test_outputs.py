"""What is there already is not replaced, unless it is asked for."""

import numpy as np
import pytest
import tifffile

from napari_convgen import cli

SMALL = ["--preset", "deep-decoder", "--set", "generator.n_channels=4", "generator.n_scales=1", "n_restarts=0"]
SHORT = [*SMALL, "--steps", "2", "--stopping", "fixed"]


@pytest.mark.parametrize(
    ("words", "there"),
    [
        (["compare", "--methods", "nlm", *SHORT, "-o", "out"], "out/nlm.tif"),
        (["compare-fits", *SMALL, "--steps", "2", "-o", "out"], "out/curves.csv"),
        (["spectrum", "--rank", "2", *SMALL, "-o", "out"], "out/values.csv"),
        (["reconstruct", "--problem", "enlarge", *SHORT, "-o", "out/new.tif", "--snapshots", "out/steps.tif"], "out/steps.tif"),
        (["simulate", "--problem", "inpaint", "-o", "out/new.tif", "--write-mask", "out/mask.png"], "out/mask.png"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_figures")
def test_every_command_that_writes_needs_force_to_replace(tmp_path, monkeypatch, capsys, words, there):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("napari_convgen.run.spectrum.run.N_DESCENT_PRODUCTS", 4)
    tifffile.imwrite("noisy.tif", np.random.default_rng(0).normal(100, 9, (20, 24)).astype(np.float32))
    (tmp_path / "out").mkdir()
    (tmp_path / there).write_text("old")
    assert cli.main([words[0], "noisy.tif", *words[1:]]) == 2
    assert f"{there} exists already." in capsys.readouterr().err
    assert (tmp_path / there).read_text() == "old"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [there.removeprefix("out/")]
    assert cli.main([words[0], "noisy.tif", *words[1:], "--force"]) == 0
    assert (tmp_path / there).read_bytes() != b"old"


def test_the_header_of_an_image_of_bart_is_one_of_the_outputs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("photo.tif", np.random.default_rng(0).normal(100, 9, (20, 24)).astype(np.float32))
    header = tmp_path / "photo.hdr"
    header.write_text("ENVI")
    words = ["denoise", "photo.tif", "-o", "photo.cfl", *SHORT]
    assert cli.main(words) == 2
    assert "photo.hdr exists already." in capsys.readouterr().err
    assert header.read_text() == "ENVI"
    assert cli.main([*words, "--force"]) == 0
    assert header.read_text().startswith("# Dimensions")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_presets_and_rules(capsys, shell):
    pytest.importorskip("shtab")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("compare-fits", "expected-error", "deep-image-prior", "held-out"))


def test_what_completion_needs_is_told(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert "pip install 'napari-convgen[completion]'" in capsys.readouterr().err
