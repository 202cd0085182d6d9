"""Large frames are fitted in tiles, each as if alone with the pixels around it."""

import numpy as np
import pytest

from napari_convgen.config import PRESETS, Config
from napari_convgen.core.image import Division, Layout
from napari_convgen.core.image import tiles as module
from napari_convgen.errors import ConfigError
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.spectrum.run import SpectrumTask

SMALL = Config().replace({"generator.n_channels": 6, "n_steps": 8, "stopping.kind": "fixed", "device": "cpu"})
TILED = SMALL.replace({"tiles.size": 16, "tiles.overlap": 4})


@pytest.mark.parametrize(("shape", "axes"), [((24, 40), "YX"), ((2, 30, 20), "TYX"), ((26, 28, 3), "YXS")])
def test_a_tile_equals_the_same_part_alone(noisy, same, shape, axes):
    image = noisy(shape)
    task = DenoiseTask(image, TILED, axes=axes)
    pairs = [(progress.frame, progress.tile) for progress in task]
    result, whole = task.result(), SMALL.replace({"tiles.size": "whole"})
    division = Division.of(Layout.of(shape, axes), shape, 16, 4)
    assert division.n_tiles > 1
    assert task.prepared.n_outputs == (3 if "S" in axes else 1)
    assert sorted({frame * division.n_tiles + tile for frame, tile in pairs}) == list(range(len(division.pieces)))
    for number, piece in enumerate(division.pieces):
        alone = denoise(image[piece.window], whole, axes=axes.replace("T", ""))
        assert same(result.image[piece.index], alone.image[piece.inside])
        assert same(result.expected_error[piece.index], alone.expected_error[piece.inside])
        assert result.frames[number].loss == alone.frames[0].loss
    assert {snapshot.image.shape for snapshot in result.snapshots} == {shape}
    assert same(result.snapshots[-1].image, result.image)
    assert str(result.reason).startswith(f"{len(division.pieces)} tiles were fitted")


def test_what_is_told_of_tiles(noisy):
    task = DenoiseTask(noisy((24, 40)), TILED)
    assert "3 tiles of 8 steps" in str(task.forecast())
    for progress in task:
        if (progress.tile, progress.step) == (1, 1):
            assert progress.share == (1 + 1 / 8) / 3
            assert task.preview().shape == (24, 11)
            assert task.indices[progress.piece] == (slice(0, 24), slice(14, 25))
    result = task.result()
    assert "Fitted in 3 tiles; tiles.size = 'whole' fits it whole." in result.notes
    assert not task.can_extend
    report = result.report()
    assert report["n_tiles"] == 3
    assert [frame["index"] for frame in report["frames"]] == [
        [[0, 24], [i, j]] for i, j in ((0, 14), (14, 25), (25, 40))
    ]


def test_tiles_without_anything_to_fit_are_left_as_they_are_and_counted(noisy, same):
    image = noisy((20, 80), "uint16")
    image[:, :40] = 7
    result = denoise(image, TILED)
    assert same(result.image[:, :32], image[:, :32])
    assert "2 of 5 tiles were left as they are: they are constant, or no noise was found in them." in result.notes
    assert [frame.number for frame in result.frames] == [2, 3, 4]


def test_a_small_image_is_whole_and_a_large_one_is_not(noisy, same, monkeypatch):
    image = noisy((40, 30))
    assert same(denoise(image, SMALL).image, denoise(image, SMALL.replace({"tiles.size": "whole"})).image)
    monkeypatch.setattr(module, "LARGEST_WHOLE", 40 * 30 - 1)
    monkeypatch.setattr(module, "AUTO_SIDE", 20)
    automatic = denoise(image, SMALL.replace({"tiles.overlap": 2}))
    assert automatic.n_tiles == 4
    assert same(automatic.image, denoise(image, SMALL.replace({"tiles.size": 20, "tiles.overlap": 2})).image)


def test_of_a_lazy_image_only_what_a_tile_needs_is_read(noisy, same):
    image, taken = noisy((24, 40)), []

    def take(self, index):
        taken.append(index)
        return image[index]

    lazy = type("Lazy", (), {"shape": image.shape, "dtype": image.dtype, "__getitem__": take})()
    assert same(denoise(lazy, TILED).image, denoise(image, TILED).image)
    windows = [piece.window for piece in Division.of(Layout.of((24, 40)), (24, 40), 16, 4).pieces]
    assert all(index in windows for index in taken)
    assert len(taken) == len(windows)


def test_memory_is_that_of_a_tile_and_snapshots_need_not_be_kept(noisy):
    image = noisy((128, 128))
    whole, tiled, few = (
        DenoiseTask(image, SMALL.replace(changes), keeps_snapshots=keeps)
        for changes, keeps in (({}, True), ({"tiles.size": 32}, True), ({"tiles.size": 32}, False))
    )
    assert few.n_bytes < tiled.n_bytes < whole.n_bytes
    small = DenoiseTask(image[:48, :48], SMALL.replace({"tiles.size": 32}), keeps_snapshots=False)
    assert len(small.finish().frames[0].snapshots) == 1  # the last is the one that is kept


def test_tiles_are_as_good_as_the_whole_and_have_no_seams():
    y, x = np.mgrid[:128, :128]
    clean = 0.5 + 0.2 * np.sin(x / 4 + y / 9) + 0.2 * (np.hypot(x - 64, y - 60) < 30)
    image = (clean + 0.1 * np.random.default_rng(1).standard_normal(clean.shape)).astype(np.float32)
    errors = []
    for size in ("whole", 48):
        config = PRESETS["quick"].replace({"device": "cpu", "tiles.size": size, "tiles.overlap": 16})
        errors.append((denoise(image, config).image - clean) ** 2)
    whole, tiled = errors
    assert tiled.mean() < 1.15 * whole.mean()  # tiles this small have fewer similar patches
    borders = np.zeros(clean.shape, bool)
    borders[[47, 48, 79, 80]] = borders[:, [47, 48, 79, 80]] = True  # tiles begin at 48 and 80
    assert tiled[borders].mean() / tiled.mean() < 1.25 * whole[borders].mean() / whole.mean()


def test_tiles_are_for_denoising(noisy):
    with pytest.raises(ConfigError, match=r"Tiles are for denoising, got tiles\.size = 16\. Choose 'whole'\."):
        SpectrumTask(noisy((24, 40)), TILED)
