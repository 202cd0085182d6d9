"""Runs with a network that is taught by the non-local estimate."""

import numpy as np
import pytest
import torch

from napari_convgen.config import Config, preset
from napari_convgen.errors import ConfigError
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.reconstruct.inputs import choose_config
from napari_convgen.run.setup import backends
from napari_convgen.run.setup.backends import resolve_number_format

TAUGHT = preset("best").replace(
    {
        "generator.n_channels": 8,
        "generator.n_fine_channels": 6,
        "generator.n_lessons": 4,
        "precision": "float32",
        "n_steps": 16,
        "n_threads": 1,
        "device": "cpu",
    }
)


def pair(sigma=0.1, shape=(40, 37)):
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    clean = 0.2 + np.exp(-4 * (x**2 + y**2))
    return clean, (clean + sigma * rng.standard_normal(shape)).astype(np.float32)


def error(image, clean):
    return float(np.mean((image - clean) ** 2))


def test_it_takes_noise_away_and_shows_where_it_is_uncertain():
    clean, noisy = pair()
    result = denoise(noisy, TAUGHT)
    assert error(result.image, clean) < 0.2 * error(noisy, clean)
    assert (result.expected_error > 0).all()


def test_its_first_image_is_the_estimate():
    _, noisy = pair()
    first = denoise(noisy, TAUGHT.replace({"generator.network_share": 0.0, "n_steps": 1}))
    np.testing.assert_allclose(first.image, denoise(noisy, "quick").image, rtol=0, atol=1e-5)


def test_going_back_takes_the_same_steps_again():
    _, noisy = pair()
    config = TAUGHT.replace({"stopping.kind": "fixed"})
    run, whole = DenoiseTask(noisy, config), DenoiseTask(noisy, config)
    for each in (run, whole):
        for _ in each:
            pass
    run.extend(11, from_step=5)
    for _ in run:
        pass
    again, before = run.result().frames[0], whole.result().frames[0]
    shared = {s.step for s in again.snapshots} & {s.step for s in before.snapshots}
    assert max(shared) > 5
    for step in shared:
        assert np.array_equal(again.at(step).image, before.at(step).image), step


def test_a_measurement_of_something_else_is_reconstructed_as_with_the_default():
    _, config = choose_config("deblur", "best", {}, {})
    assert config.generator == preset("default").generator.model_copy(update={"guide": "plug-and-play"})
    assert config.optimizer == preset("default").optimizer


@pytest.mark.parametrize(("is_fast", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_the_number_format_suits_the_hardware(is_fast, expected, monkeypatch):
    monkeypatch.setattr(backends, "has_fast_bfloat16", lambda device: is_fast)
    config = TAUGHT.replace({"precision": "auto"})
    assert resolve_number_format(config, torch.device("cpu"), "torch") == expected
    by_torch = Config().replace({"precision": "auto"})
    assert (
        resolve_number_format(by_torch, torch.device("cpu"), "torch") == "float32"
    )  # a deep decoder has no other there
    assert DenoiseTask(pair()[1], config).prepared.config_again.precision == expected


def test_a_number_format_that_it_has_not_is_refused():
    with pytest.raises(ConfigError, match="cannot have precision = 'bfloat16'"):
        DenoiseTask(pair()[1], Config().replace({"precision": "bfloat16", "backend": "torch"}))
