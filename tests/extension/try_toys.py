"""Use the toys that `test_extension` has put into a copy of the package; print what went wrong with each as JSON."""

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_convgen
from napari_convgen import CompareFitsTask, CompareTask, Config, SpectrumTask, denoise, reconstruct
from napari_convgen.cli import main
from napari_convgen.config import setting_fields
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import ConfigError
from napari_convgen.files.images import read_image
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.run.setup.build import build_operator

QUICK = Config().replace(
    {
        "device": "cpu",
        "n_threads": 1,
        "backend": "torch",
        "n_steps": 3,
        "n_seeds": 1,
        "generator.n_channels": 16,
        "generator.kernel": "linear",
        "stopping.kind": "fixed",
    }
)


def sharp_image():
    y, x = np.mgrid[:40, :48]
    return (0.2 + 0.6 * ((y // 8 + x // 8) % 2)).astype(np.float32)


def noisy_image():
    return sharp_image() + 0.05 * np.random.default_rng(0).standard_normal((40, 48)).astype(np.float32)


def check_is_offered(group, *settings):
    """Configuration files and the viewer's form have the kind and its settings."""
    from napari_convgen.viewer.parts.form import ConfigForm

    fields = setting_fields()
    names = [f"{group}.kind", *(f"{group}.{name}" for name in settings)]
    assert all("toy" in fields[name] for name in names[1:])
    config = QUICK.replace({f"{group}.kind": "toy"})
    assert Config.from_toml(config.to_toml()) == config
    form = ConfigForm(names)
    assert "toy" in form.editors[names[0]].choices
    form.show_config(config)
    assert form.values() == {names[0]: "toy"} | {
        name: str(getattr(getattr(config, group), name.split(".")[1])) for name in names[1:]
    }


def check_rule():
    check_is_offered("stopping", "threshold")
    config = QUICK.replace({"n_steps": 1000, "optimizer.learning_rate": 0.03, "generator.n_scales": 2})
    result = denoise(noisy_image(), config.replace({"stopping.kind": "toy", "stopping.threshold": 0.03}))
    assert (result.reason.outcome, str(result.reason)) == (Outcome.RULE, "The loss is below 0.03.")
    [frame] = result.frames
    assert frame.loss[-1] < 0.03 < frame.loss[0]
    np.testing.assert_allclose(frame.criterion, np.array(frame.loss) / 0.03, rtol=1e-5)
    assert result.config.stopping.criterion == "loss / threshold"


def check_generator():
    check_is_offered("generator", "highest_frequency")
    config = QUICK.replace({"generator.kind": "toy"})
    forecasts = [DenoiseTask(noisy_image(), config.replace({"generator.n_channels": n})).forecast() for n in (16, 1600)]
    assert forecasts[1].n_bytes - forecasts[0].n_bytes == 4 * 1584 * 40 * 48
    result = denoise(noisy_image(), config)
    [frame] = result.frames
    assert frame.loss[0] > frame.loss[2]
    assert np.ptp(result.image) > 0
    best = denoise(noisy_image(), config.replace({"n_steps": 20, "n_seeds": 2, "stopping.kind": "auto"}))
    assert set(best.frames[0].votes) >= {"held-out", "agreement"}


def check_operator():
    fields = setting_fields()
    assert "toy" in fields["operator.width"]
    config = QUICK.replace({"operator.kind": "toy", "operator.width": 1.5})
    assert Config.from_toml(config.to_toml()) == config
    operator = build_operator(config, (2, 40, 48))
    assert operator.dot_error(torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(0)) < 1e-12

    noise = 0.01 * np.random.default_rng(0).standard_normal((40, 48)).astype(np.float32)
    blurred = build_operator(config, (1, 40, 48)).apply(torch.from_numpy(sharp_image())[None])[0].numpy() + noise
    noise_settings = {"noise.kind": "gaussian", "noise.sigma": 0.01, "noise.correlation_length": 1}
    by_rule = config.replace({"stopping.kind": "auto", "n_steps": 200} | noise_settings)
    with_it = denoise(blurred, by_rule)
    without_it = denoise(blurred, by_rule.replace({"operator.kind": "identity"}))
    errors = [float(np.mean((result.image - sharp_image()) ** 2)) for result in (with_it, without_it)]
    assert errors[0] < 0.5 * errors[1], errors
    assert 1 < with_it.step <= 200
    assert with_it.frames[0].votes["held-out"] == with_it.step
    assert with_it.estimated_psnr is None
    assert without_it.estimated_psnr is not None
    with pytest.raises(ConfigError, match="'sure' holds for denoising only, and there is a forward operator"):
        DenoiseTask(blurred, by_rule.replace({"stopping.kind": "sure"}))
    with pytest.raises(ConfigError, match="A guided-network needs a measurement that is the image itself"):
        DenoiseTask(blurred, by_rule.replace({"generator.kind": "guided-network"}))
    for task in (CompareTask, CompareFitsTask, SpectrumTask):
        with pytest.raises(ConfigError, match="for denoising only, and there is a forward operator"):
            task(blurred, by_rule)


def check_noise():
    check_is_offered("noise", "scale")
    y, x = np.mgrid[:64, :64] / 64
    image = x * y + np.random.default_rng(0).laplace(0, 0.05, (64, 64))
    config = QUICK.replace({"noise.kind": "toy"})
    result = denoise(image, config.replace({"noise.scale": 0.06, "noise.correlation_length": 1}))
    [noise] = result.report()["noise"]
    assert (noise["kind"], noise["scale"]) == ("toy", (0.06,))
    assert str(result.frames[0].noise) == "Laplace noise of scale 0.06; white"
    estimated = denoise(image, config).frames[0].noise
    assert 0.04 < estimated.scale[0] < 0.06, estimated
    assert denoise(image, QUICK).frames[0].noise.kind == "gaussian"
    known = {"noise.scale": 0.05, "noise.correlation_length": 1, "stopping.kind": "discrepancy", "n_steps": 200}
    assert denoise(image, config.replace(known)).reason.outcome is Outcome.RULE


def check_problem():
    result = reconstruct(noisy_image(), QUICK, problem="toy", axis=1)
    np.testing.assert_allclose(result.residual[0], result.image[:, ::-1] - noisy_image(), atol=1e-5)
    with pytest.raises(ConfigError, match="takes no axis that is upside down"):
        reconstruct(noisy_image(), QUICK, problem="inpaint", axis=1)


def check_file_format():
    write_toy("in.toy", noisy_image())
    assert run("denoise", "in.toy", "-o", "out.toy", "--snapshots", "steps.tif", "--config", "quick.toml") == 0
    assert Path("out.toy").read_bytes().startswith(b"TOY!")
    assert np.array_equal(read_image("out.toy").data, denoise(noisy_image(), QUICK).image)
    assert read_image("steps.tif").data.shape[-2:] == (40, 48)
    Path("bad.toy").write_bytes(b"no toy")
    assert run("denoise", "bad.toy", "-o", "out.toy") == 2


def check_all_together():
    write_toy("in.toy", noisy_image())
    kinds = [f"{group}.kind=toy" for group in ("generator", "noise", "operator")]
    options = ("--stopping", "toy", "--config", "quick.toml", "--report", "all.json")
    assert run("denoise", "in.toy", "-o", "all.toy", *options, "--set", *kinds) == 0
    report = json.loads(Path("all.json").read_text())
    assert {report["config"][group]["kind"] for group in ("generator", "noise", "operator", "stopping")} == {"toy"}
    assert Config.from_file("all.json").stopping.kind == "toy"
    assert (
        run("denoise", "in.toy", "-o", "set.toy", "--config", "quick.toml", "--set", "stopping.kind=toy", *kinds) == 0
    )
    assert Path("set.toy").read_bytes() == Path("all.toy").read_bytes()


def write_toy(name, data):
    Path("quick.toml").write_text(QUICK.to_toml())
    with open(name, "wb") as file:
        file.write(b"TOY!")
        np.save(file, data)


def run(*arguments):
    with contextlib.redirect_stderr(io.StringIO()):
        return main([*arguments, "--quiet"])


def failure_of(check):
    try:
        with contextlib.redirect_stdout(sys.stderr):
            check()
    except Exception:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    assert Path(napari_convgen.__file__).is_relative_to(Path.cwd()), napari_convgen.__file__
    from qtpy.QtWidgets import QApplication

    application = QApplication([])
    checks = (
        check_rule,
        check_generator,
        check_operator,
        check_noise,
        check_problem,
        check_file_format,
        check_all_together,
    )
    print(json.dumps({check.__name__.removeprefix("check_"): failure_of(check) for check in checks}))
