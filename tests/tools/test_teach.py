"""The drawings that a network learns from, and the lessons."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_convgen.core.generators.denoiser import DRAWN_WEIGHTS, DRAWN_WIDTHS, Denoiser
from napari_convgen.core.generators.layers import Start

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


def test_lessons_take_noise_off_a_drawing(tmp_path):
    drawings = np.stack([draw(number) for number in range(3)])
    weights = teach.teach(teach.new_network(), drawings, 60)
    with np.load(DRAWN_WEIGHTS) as kept:
        assert {name: each.shape for name, each in kept.items()} == {n: each.shape for n, each in weights.items()}
    np.savez(tmp_path / "weights.npz", **weights)
    network = Denoiser(
        1,
        DRAWN_WIDTHS,
        [(2, 2)] * 3,
        Start(torch.Generator(), torch.float32),
        torch.float32,
        n_axes=2,
        knows_level=True,
    )
    network.load(tmp_path / "weights.npz")
    clean = torch.from_numpy(drawings[:1, None]).float()
    noisy = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        shown = 2 * network(noisy / 2, torch.full((1, 1, 1, 1), 0.5))
    assert (shown - clean).square().mean() < 0.99 * (noisy - clean).square().mean()
