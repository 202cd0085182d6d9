"""Runs with a guided or taught network: what its input asks of the loop, the rules and the image."""

import numpy as np
import pytest
import torch

from napari_convgen.config import PRESETS, Config
from napari_convgen.core.generators import GuidedNetwork, TaughtNetwork
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.problem import Problem
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.reconstruct.inputs import choose_config
from napari_convgen.run.setup import backends
from napari_convgen.run.setup.backends import resolve_number_format

GUIDED = Config().replace(
    {
        "generator.kind": "guided-network",
        "generator.n_channels": 8,
        "generator.n_fine_channels": 6,
        "generator.n_scales": 2,
        "generator.guide_step": 25,
        "optimizer.learning_rate": 0.01,
        "n_steps": 60,
        "n_threads": 1,
        "device": "cpu",
    }
)


TAUGHT = PRESETS["best"].replace(
    {
        "generator.begins_with": "chance",
        "generator.n_channels": 8,
        "generator.n_fine_channels": 6,
        "generator.n_lessons": 4,
        "precision": "float32",
        "n_steps": 16,
        "n_threads": 1,
        "device": "cpu",
    }
)


def pair(sigma=0.1, shape=(32, 30)):
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    clean = 0.2 + np.exp(-4 * (x**2 + y**2))
    return clean, (clean + sigma * rng.standard_normal(shape)).astype(np.float32)


def error(image, clean):
    return float(np.mean((image - clean) ** 2))


@pytest.mark.parametrize(
    "config",
    [TAUGHT, *(GUIDED.replace({"stopping.kind": rule, "n_steps": 70}) for rule in ("auto", "sure", "coupled"))],
)
def test_it_takes_noise_away(config):
    clean, noisy = pair()
    result = denoise(noisy, config)
    assert error(result.image, clean) < 0.3 * error(noisy, clean)
    assert (result.expected_error > 0).all()


def test_the_guide_changes_the_images_from_its_step_on():
    _, noisy = pair()
    words = {"stopping.kind": "fixed", "n_steps": 40}
    with_guide = denoise(noisy, GUIDED.replace(words)).frames[0]
    without = denoise(noisy, GUIDED.replace(words | {"generator.guide_step": 1000})).frames[0]
    steps = [snapshot.step for snapshot in with_guide.snapshots]
    for step in steps:
        is_equal = np.array_equal(with_guide.at(step).image, without.at(step).image)
        assert is_equal == (step <= 25), step
    assert steps[-1] == 40


@pytest.mark.parametrize(("config", "step", "n_more"), [(GUIDED, 15, 45), (TAUGHT, 5, 11)])
def test_going_back_takes_the_same_steps_again(config, step, n_more):
    _, noisy = pair()
    config = config.replace({"stopping.kind": "fixed"})
    run, whole = DenoiseTask(noisy, config), DenoiseTask(noisy, config)
    for each in (run, whole):
        for _ in each:
            pass
    run.extend(n_more, from_step=step)
    assert min(progress.step for progress in run) <= step + 1
    again, before = run.result().frames[0], whole.result().frames[0]
    shared = {s.step for s in again.snapshots} & {s.step for s in before.snapshots}
    assert max(shared) > step
    for each in shared:
        assert np.array_equal(again.at(each).image, before.at(each).image), each


def test_the_loss_that_is_shown_is_the_distance_to_the_image():
    _, noisy = pair(sigma=0.05)
    frame = denoise(noisy, GUIDED.replace({"stopping.kind": "fixed", "generator.recorruption": 0.1})).frames[0]
    # The distance to what the net is fitted to in the first steps would be a hundred times the noise's variance.
    assert frame.loss[20] < 30 * (0.05 * 0.9 / np.ptp(noisy)) ** 2


def test_what_a_guided_network_cannot_do_is_said_before_anything_starts():
    _, noisy = pair()
    with pytest.raises(ConfigError, match=r"noise\.kind"):
        DenoiseTask(noisy, GUIDED.replace({"noise.kind": "none"}))
    with pytest.raises(ConfigError, match="linearized"):
        DenoiseTask(noisy, GUIDED.replace({"stopping.kind": "linearized"}))
    with pytest.raises(ConfigError, match="guided-network"):
        DenoiseTask(noisy, GUIDED.replace({"backend": "triton"}))


def test_an_image_without_noise_is_refused():
    y, x = np.mgrid[:40, :38]
    run = DenoiseTask((y + 2 * x).astype(np.float32), GUIDED)
    with pytest.raises(InputError, match="No noise was found"):
        next(iter(run))


def test_frames_without_noise_are_left_as_they_are():
    noisy = pair()[1]
    y, x = np.mgrid[: noisy.shape[0], : noisy.shape[1]]
    exact = (y + 2 * x).astype(noisy.dtype)
    result = DenoiseTask(np.stack([exact, noisy, exact]), GUIDED.replace({"n_steps": 5}), axes="TYX").finish()
    assert [frame.number for frame in result.frames] == [1]
    assert np.array_equal(result.image[0], exact)
    assert [f"No noise was found in frame {n}; it was left as it is." in result.notes for n in range(3)] == [
        True,
        False,
        True,
    ]
    for frames in ([exact, exact], [exact, 0 * exact], [0 * exact, exact]):
        with pytest.raises(InputError, match="No noise was found"):
            DenoiseTask(np.stack(frames), GUIDED, axes="TYX").finish()


def test_no_network_is_computed_where_the_image_is_the_estimate_alone(monkeypatch):
    image = np.random.default_rng(0).normal(100, 10, (40, 44)).astype(np.float32)
    config = PRESETS["quick"].replace({"device": "cpu"})
    both = config.replace({"generator.network_share": "auto"})
    assert DenoiseTask(image, config).n_bytes < DenoiseTask(image, both).n_bytes
    assert denoise(image, config.replace({"n_seeds": 2})).expected_error is None
    monkeypatch.setattr(GuidedNetwork, "draw", lambda self: pytest.fail("a network was computed"))
    assert denoise(image, config).n_steps_taken == 1


def test_a_step_is_as_many_lessons_as_are_set(monkeypatch):
    given, lesson_loss = [], TaughtNetwork.lesson_loss
    monkeypatch.setattr(
        TaughtNetwork, "lesson_loss", lambda self, member: given.append(member) or lesson_loss(self, member)
    )
    denoise(pair()[1], TAUGHT.replace({"n_steps": 2, "stopping.kind": "fixed"}))
    n_members = len(set(given))
    assert n_members > 1
    assert len(given) == 2 * n_members * TAUGHT.generator.n_lessons


def test_lessons_have_the_noise_of_bright_pixels(monkeypatch):
    """Where most pixels are dark, the mean noise is lower, and a network that learned from it would leave noise in the others."""
    levels, problems, lesson_loss, of = set(), [], TaughtNetwork.lesson_loss, Problem.of

    def lesson(network, member):
        levels.add(float(network.noise_level.max()))
        return lesson_loss(network, member)

    monkeypatch.setattr(TaughtNetwork, "lesson_loss", lesson)
    monkeypatch.setattr(Problem, "of", lambda *given, **named: problems.append(of(*given, **named)) or problems[-1])
    monkeypatch.setattr(ImageTensor, "mean_noise_level", property(lambda image: 0.6 * image.noise_level))
    denoise(pair()[1], TAUGHT.replace({"n_steps": 1, "stopping.kind": "fixed"}))
    [level] = levels
    assert level == pytest.approx(float(problems[-1].bright_noise_level.max()))
    assert float(problems[-1].noise_level.max()) == pytest.approx(0.6 * level)


def test_members_learn_the_same_on_any_number_of_threads():
    _, noisy = pair()
    config = TAUGHT.replace({"n_steps": 3, "stopping.kind": "fixed"})
    images = [denoise(noisy, config.replace({"n_threads": n})).snapshots[-1].iterate for n in (1, 2)]
    np.testing.assert_array_equal(*images)


def test_without_a_share_of_the_network_the_image_is_the_estimate():
    _, noisy = pair()
    first = denoise(noisy, TAUGHT.replace({"generator.network_share": 0.0, "n_steps": 1}))
    np.testing.assert_allclose(first.image, denoise(noisy, "quick").image, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["default", "best"])
def test_a_network_is_fitted_to_a_measurement_of_something_else(name):
    _, config = choose_config("deblur", name, {}, {})
    assert (config.generator.kind, config.generator.guide) == ("guided-network", "plug-and-play")
    assert (config.optimizer.learning_rate, config.precision) == (0.012, "float32")
    assert config.n_steps == PRESETS[name].n_steps


@pytest.mark.parametrize("changes", [{"generator.n_lessons": 3}, {"optimizer.learning_rate": 0.1}])
def test_changed_settings_of_a_network_that_would_not_be_fitted_are_refused(changes):
    with pytest.raises(ConfigError, match="would be lost"):
        choose_config("deblur", PRESETS["default"].replace(changes), {}, {})


@pytest.mark.parametrize(("is_fast", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_the_number_format_suits_the_hardware(is_fast, expected, monkeypatch):
    monkeypatch.setattr(backends, "has_fast_bfloat16", lambda device: is_fast)
    config = TAUGHT.replace({"precision": "auto"})
    assert resolve_number_format(config, torch.device("cpu"), "torch") == expected
    decoder = Config().replace({"precision": "auto"})  # which has no other format in plain PyTorch
    assert resolve_number_format(decoder, torch.device("cpu"), "torch") == "float32"
    assert DenoiseTask(pair()[1], config).prepared.config_again.precision == expected


def test_a_number_format_that_a_generator_has_not_is_refused():
    with pytest.raises(ConfigError, match="cannot have precision = 'bfloat16'"):
        DenoiseTask(pair()[1], Config().replace({"precision": "bfloat16", "backend": "torch"}))


def test_the_progress_says_of_which_frame_the_first_estimate_is(noisy):
    config = PRESETS["quick"].replace({"n_threads": 1, "device": "cpu"})
    task = DenoiseTask(noisy((2, 20, 23)), config, axes="TYX")
    said = [str(progress) for progress in task]
    assert any(text.startswith("Frame 1 of 2, first estimate: ") for text in said)
    assert any(text.startswith("Frame 2 of 2, first estimate: ") for text in said)
