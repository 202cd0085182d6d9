import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.batch import piece as piece_module
from napari_convgen.batch.cut import Cut
from napari_convgen.batch.run import BatchTask

SMALL = ("generator.n_channels=4", "generator.n_scales=1", "n_steps=3", "stopping.kind=fixed", "backend=torch")
OPTIONS = ("--preset", "deep-decoder", "--set", *SMALL, "tiles.size=16", "tiles.overlap=4", "--workers", "1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    tifffile.imwrite("noisy.tif", rng.normal(100, 15, (24, 40)).astype(np.uint8), photometric="minisblack")
    return tmp_path


def batch(*arguments):
    return cli.main(["batch", "noisy.tif", "-o", "out", *OPTIONS, *arguments])


def test_what_a_batch_prints_and_its_exit_status(folder, capsys, monkeypatch):
    assert batch("--dry-run") == 0
    assert capsys.readouterr().out.startswith("1 file, 3 pieces, 3 of them to do. At most ")
    assert not Path("out").exists()
    assert batch("--status") == 0
    assert "noisy.tif: unfinished, 0 of 3 pieces done\n" in capsys.readouterr().out

    with monkeypatch.context() as patch:
        patch.setattr(piece_module, "_fit", lambda job: 1 / 0)
        assert batch() == 1
    captured = capsys.readouterr()
    assert "0 of 1 file is done, 0 of 3 pieces. 3 pieces of 1 file failed" in captured.out
    assert "Try them again with --retry-failed." in captured.out
    assert "3 of 3 pieces, 3 failed" in captured.err or "of 3 pieces" in captured.err

    assert batch("--retry-failed", "--progress", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["piece"], line["status"], line["n_done"]) for line in lines] == [(n, "done", n + 1) for n in range(3)]
    assert batch("--verify") == 0
    assert capsys.readouterr().out == "1 of 1 finished output is what was written.\n"
    Path("out/noisy.tif").unlink()
    assert batch("--verify") == 0
    assert "1 file is not finished. Give the same command without --verify" in capsys.readouterr().out
    Path("out/noisy.tif").write_bytes(b"")
    assert batch("--verify") == 1
    assert (
        "out/noisy.tif is not what was written. Remove it, and give the same command without --verify"
        in capsys.readouterr().out
    )


def test_ctrl_c_ends_a_batch_with_130_and_a_sentence(folder, capsys, monkeypatch):
    def interrupt(self, callback):
        raise KeyboardInterrupt

    monkeypatch.setattr(BatchTask, "finish", interrupt)
    assert batch() == 130
    assert "ended by Ctrl-C. 0 of 1 file is done, 0 of 3 pieces." in capsys.readouterr().err


def test_ctrl_c_while_files_are_looked_at_ends_with_130_and_a_sentence(folder, capsys, monkeypatch):
    def interrupt(path, request):
        raise KeyboardInterrupt

    monkeypatch.setattr(Cut, "of", interrupt)
    assert batch() == 130
    assert capsys.readouterr().err == (
        "napari-convgen: ended by Ctrl-C, before a piece was begun. The same command starts anew.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--part", "3"), "--part takes a number and the number of parts, such as 3/16, got '3'."),
        (("--part", "0/4"), "A part must be a number from 1"),
        (("--workers", "0"), "--workers must be at least 1, got 0."),
        (("--memory", "-1"), "--memory must be above 0, got -1."),
        (
            ("--scheduler", "tcp://node1:8786"),
            "--workers and --memory are for workers on this machine: those of a Dask",
        ),
        (("--dry-run", "--status"), "not allowed with argument"),
    ],
)
def test_wrong_options_end_with_a_sentence(folder, capsys, arguments, message):
    assert batch(*arguments) == 2
    assert message in capsys.readouterr().err
