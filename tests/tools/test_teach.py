"""The drawings that a network learns from, and the lessons."""

import sys
from pathlib import Path

import numpy as np
import pytest

from napari_convgen.core.generators.denoiser import DRAWN_WEIGHTS

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import teach
from teaching.drawings import SIDE, draw


def test_drawings_are_scaled_alike_and_repeatable():
    for number in range(12):  # of each kind some
        drawing = draw(number)
        assert drawing.shape == (SIDE, SIDE)
        assert drawing.mean() == pytest.approx(0, abs=1e-9)
        assert drawing.std() == pytest.approx(1)
    np.testing.assert_array_equal(draw(3), draw(3))
    assert not np.allclose(draw(3), draw(4))


def test_crops_are_turned_and_mirrored_pieces_of_drawings():
    drawings = np.stack([draw(number) for number in range(2)])
    pieces = [teach.crop(drawings, np.random.default_rng(i)) for i in range(20)]
    assert {piece.shape for piece in pieces} == {(teach.CROP, teach.CROP)}
    assert {float(np.sign(piece.mean())) for piece in pieces} == {-1, 1}


def test_lessons_lower_the_error(capsys, monkeypatch):
    monkeypatch.setattr(teach, "REPORTED", 20)
    drawings = np.stack([draw(number) for number in range(3)])
    weights = teach.teach(drawings, 40)
    losses = [float(line.split(": ")[1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[1] < losses[0]
    with np.load(DRAWN_WEIGHTS) as kept:
        assert {name: each.shape for name, each in kept.items()} == {n: each.shape for n, each in weights.items()}
