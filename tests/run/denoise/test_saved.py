import json

import numpy as np
import pytest

from napari_convgen.config import Config
from napari_convgen.errors import FileError
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.denoise.saved import load, load_run, save_run

QUICK = Config().replace({"generator.n_channels": 8, "n_steps": 12, "n_seeds": 2, "device": "cpu", "n_threads": 1})


@pytest.mark.parametrize("kind", ["gaussian", "poisson-gaussian", "rician", "intensity-dependent"])
def test_a_run_that_was_saved_is_the_same_after_it_was_read(noisy, same, kind, tmp_path):
    image = noisy((2, 20, 23) if kind == "gaussian" else (20, 23), "uint8")
    result = denoise(image, QUICK.replace({"noise.kind": kind}), reference=image // 2)
    save_run(tmp_path / "run.npz", result, {"name": "cells"})
    again, extra = load_run(tmp_path / "run.npz")
    assert extra == {"name": "cells"}
    assert json.dumps(again.report()) == json.dumps(result.report())
    assert same(again.image, result.image)
    for one, other in ((again, result), (again.keep(3), result.keep(3))):
        assert same(one.image, other.image)
        assert same(one.expected_error, other.expected_error)
        assert one.reason == other.reason
        assert one.chosen_step == other.chosen_step
    save_run(tmp_path / "kept.npz", result.keep(3))
    assert load(tmp_path / "kept.npz").chosen_step == 3
    assert [each.step for each in again.snapshots] == [each.step for each in result.snapshots]
    assert again.frames[0].noise == result.frames[0].noise


def test_what_is_no_run_is_refused_with_a_sentence(noisy, tmp_path):
    result = denoise(noisy(), QUICK)
    save_run(tmp_path / "run.npz", result)
    content = (tmp_path / "run.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[:-50])
    (tmp_path / "changed.npz").write_bytes(content[:200] + bytes(200) + content[400:])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("no")
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "list.npz", convgen=np.array("[2]"))
    for name in ("cut", "changed", "empty", "text", "array", "other", "list"):
        with pytest.raises(
            FileError, match=rf"{name}\.npz is not a run that was saved by this program, or is damaged\."
        ):
            load_run(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "old.npz", convgen=np.array('{"format": 1}'))
    with pytest.raises(FileError, match=r"old\.npz was saved by another version of this program"):
        load_run(tmp_path / "old.npz")
    with pytest.raises(FileError, match=r"missing\.npz cannot be read: No such file"):
        load_run(tmp_path / "missing.npz")
    with pytest.raises(
        FileError, match=r"npz, as the whole run .* alone: write_image\('run\.tif', result\.image, read_image"
    ):
        save_run(tmp_path / "run.tif", result)


def test_a_run_in_tiles_is_the_same_after_it_was_read(noisy, same, tmp_path):
    result = denoise(noisy((90, 23)), QUICK.replace({"tiles.size": 32, "tiles.overlap": 8}))
    assert result.n_tiles > 1
    result.save(tmp_path / "run.npz")
    again = load(tmp_path / "run.npz")
    assert same(again.keep(3).image, result.keep(3).image)
    assert same(again.snapshots[-1].image, result.snapshots[-1].image)


def test_the_step_that_was_chosen_in_napari_is_kept(noisy, same, tmp_path):
    result = denoise(noisy(), QUICK)
    save_run(tmp_path / "run.npz", result, {"chosen_steps": [5, 3]})
    assert same(load(tmp_path / "run.npz").image, result.keep(3).image)
