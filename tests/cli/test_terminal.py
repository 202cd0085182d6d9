"""The end of a run: what was written stays written, whatever becomes of the printed lines."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_convgen import cli

QUICK = ["--preset", "deep-decoder", "--stopping", "fixed", "--steps", "2", "--set", "generator.n_channels=4"]


class Failing(io.RawIOBase):
    """A stream that takes nothing."""

    def __init__(self, error):
        self.error = error

    def writable(self):
        return True

    def write(self, content):
        raise self.error


def text_stream(raw):
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).normal(100, 9, (24, 20)).astype(np.float32)
    tifffile.imwrite("noisy.tif", image, photometric="minisblack")
    return tmp_path


def denoise(*options):
    return cli.main(["denoise", "noisy.tif", "-o", "out.tif", *QUICK, *options])


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device")])
@pytest.mark.parametrize("names", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_a_run_whose_lines_cannot_be_printed_is_finished(folder, monkeypatch, error, names):
    for name in names:
        monkeypatch.setattr(sys, name, text_stream(Failing(error)))
    assert denoise() == 0
    assert tifffile.imread("out.tif").shape == (24, 20)


def test_a_run_without_streams_is_finished(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert denoise() == 0
    assert os.path.exists("out.tif")


@pytest.mark.parametrize(("encoding", "letter"), [("ascii", r"\xb5"), ("cp1252", "µ"), ("utf-8", "µ")])
def test_letters_that_a_console_lacks_are_escaped(folder, monkeypatch, encoding, letter):
    content = io.BytesIO()
    printed = io.TextIOWrapper(content, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", printed)
    assert cli.main(["denoise", "noisy.tif", "-o", "µ→.tif", *QUICK]) == 0
    lines = content.getvalue().decode(encoding).splitlines()
    arrow = "→" if encoding == "utf-8" else r"\u2192"
    assert lines[-1] == f"Wrote {letter}{arrow}.tif."


def test_what_a_command_is_there_to_print_must_be_printed_unless_nobody_reads_on(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", text_stream(Failing(OSError(28, "No space left on device"))))
    assert cli.main(["new-config"]) == 2
    sentence = "napari-convgen: The output cannot be printed: No space left on device. Print to another place.\n"
    assert capsys.readouterr().err == sentence
    monkeypatch.setattr(sys, "stdout", text_stream(Failing(BrokenPipeError(32, "Broken pipe"))))
    assert cli.main(["new-config"]) == 0


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("arguments", [["new-config"], ["denoise", "--help"]])
def test_python_itself_does_not_complain_about_a_closed_pipe(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-m", "napari_convgen.cli", *arguments]
    done = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
