import json

import numpy as np
import pytest

from napari_convgen.config import Config
from napari_convgen.errors import FileError
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.denoise.saved import load_run, save_run

QUICK = Config().replace({"generator.n_channels": 8, "n_steps": 12, "n_seeds": 2, "device": "cpu", "n_threads": 1})


@pytest.mark.parametrize("kind", ["gaussian", "poisson-gaussian", "rician"])
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
    assert [each.step for each in again.snapshots] == [each.step for each in result.snapshots]
    assert again.frames[0].noise == result.frames[0].noise


def test_what_is_no_run_is_refused_with_a_sentence(noisy, tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("text.npz", "other.npz", "missing.npz"):
        with pytest.raises(FileError, match="not a run that was saved"):
            load_run(tmp_path / name)
    with pytest.raises(FileError, match=r"\.npz"):
        save_run(tmp_path / "run.tif", denoise(noisy(), QUICK))
