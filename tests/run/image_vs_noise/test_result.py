import json

import numpy as np
import pytest

from napari_convgen.config import Config
from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.snapshot import Outcome, StopReason
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.result import CompareFitsResult, TargetFit
from napari_convgen.run.labels import format_share

STEPS = (1, 10, 100, 1000)
NONE = (np.nan,) * 4


def target(name, losses, errors=NONE, n_layers=3):
    distances = np.outer(np.arange(4), np.arange(1, n_layers + 1)) / 10
    return TargetFit(name, np.zeros((4, 4)), np.array(losses), np.array(errors), distances, ())


def result(*targets, n_layers=3):
    frame = np.arange(16.0).reshape(4, 4)
    return CompareFitsResult(
        targets=targets,
        steps=STEPS,
        layers=(*(f"layer {i}" for i in range(1, n_layers)), "output"),
        config=Config(),
        target_settings=TargetsConfig(),
        image=ImageTensor.of(frame, Layout.of(frame.shape)),
        reason=StopReason(Outcome.BUDGET, "All 1000 steps were taken; step 1000 is kept."),
        notes=(),
        seconds=1.0,
        device="cpu",
        n_threads=1,
        backend="torch",
    )


def test_the_sentence_says_when_the_image_is_fitted_and_how_far_noise_is_then():
    both = result(target("image", (1, 0.08, 0.02, 0.01)), target("noise", (1, 0.99, 0.6, 0.07)))
    assert both.sentences() == (
        "After step 10, 8 % of the image is left to fit, and 99 % of the noise.",
        "For the noise it takes 100 times as many steps, 1000, until 10 % is left to fit.",
    )
    assert both.first_step("image", 0.02) == 100


def test_noise_that_is_not_fitted_and_an_image_that_is_not():
    never = result(target("image", (1, 0.08, 0.02, 0.01)), target("noise", (1, 1, 0.9, 0.4)))
    assert never.sentences()[1] == "Of the noise, more than 10 % is left to fit after all 1000 steps."
    neither = result(target("image", (1, 0.8, 0.5, 0.255)), target("noise", (1, 1, 0.9, 0.4)))
    assert neither.sentences() == ("After step 1000, 26 % of the image is left to fit, and 40 % of the noise.",)


def test_where_a_fit_is_nearest_to_the_clean_image_is_told():
    noise = target("noise", (1, 1, 0.9, 0.4))
    added = target("added noise", (1, 0.2, 0.1, 0.05), (1, 0.2, 0.034, 0.3))
    [*_, own] = result(target("image", (1, 0.8, 0.5, 0.2)), noise, added).sentences()
    assert own == (
        "The fit to the noisier image is nearest to the image without the added noise at step 100: 3.4 % of it is missing, "
        "and 30 % after step 1000."
    )
    image = target("image", (1, 0.8, 0.5, 0.2), (1, 0.5, 0.2, 0.1))
    [*_, first, second] = result(image, noise, target("reference", (1, 1, 1, 1)), added).sentences()
    assert (
        first == "The fit to the image is nearest to the reference at step 1000, the last one: 10 % of it is missing."
    )
    assert "nearest to the reference at step 100" in second


def test_plots_show_every_target_and_layer():
    errors = (1, 0.5, 0.2, 0.1)
    panels = result(target("image", (1, 0.8, 0.5, 0.2), errors), target("noise", (1, 1, 0.9, 0.4))).panels()
    left, layers, of_image, of_noise = panels
    assert [curve.label for curve in left.curves] == ["image", "noise", "image to clean"]
    assert (left.x_scale, left.y_scale) == ("log", "log")
    np.testing.assert_array_equal(left.curves[2].y, errors)
    assert "1000" in layers.title
    np.testing.assert_allclose(layers.curves[0].y, [0.3, 0.6, 0.9])
    assert [curve.label for curve in of_noise.curves] == ["layer 1", "layer 2", "output"]
    np.testing.assert_allclose(of_image.curves[1].y, [0, 0.2, 0.4, 0.6])


def test_of_a_deep_generator_some_layers_are_drawn_and_the_title_says_so():
    pair = [target(name, (1, 0.5, 0.2, 0.1), n_layers=30) for name in ("image", "noise")]
    *_, plot = result(*pair, n_layers=30).panels()
    assert "8 of 30 layers" in plot.title
    labels = [curve.label for curve in plot.curves]
    assert (labels[0], labels[-1], len(labels)) == ("layer 1", "output", 8)


def test_report_is_plain_json():
    both = result(target("image", (1, 0.08, 0.02, 0.01)), target("noise", (1, 0.99, 0.6, 0.07)))
    report = json.loads(json.dumps(both.report(), allow_nan=False))
    assert report["targets"]["noise"]["losses"] == [1, 0.99, 0.6, 0.07]
    assert report["targets"]["noise"]["errors"] is None
    assert report["sentences"] == list(both.sentences())
    assert report["steps"] == list(STEPS)


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.123, "12 %"), (0.0996, "10 %"), (0.0949, "9.5 %"), (0.00351, "0.35 %")]
)
def test_format_share(share, text):
    assert format_share(share) == text
