"""Whether every verb still gives the same numbers, bit for bit.

    python benchmarks/unchanged.py --record FILE.json
    python benchmarks/unchanged.py --compare FILE.json [--only TEXT ...]

The first command runs many small cases and writes a digest of each part of what they give; the second one runs them again, prints which
parts of which case differ, and fails if any does. Nothing that depends on time is digested. Digests hold for the machine and the
versions of libraries that they were recorded with: record before a change, compare after it.

What the cases know of the package is all in the first part of this file.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import platform
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_convgen import PRESETS, Config, DenoiseTask, TargetsConfig, compare_fits, denoise, spectrum
from napari_convgen.cli import main as command_line
from napari_convgen.config import GROUPS
from napari_convgen.core.image import Layout, channels_first
from napari_convgen.core.noise.estimate import estimate_noise
from napari_convgen.figures.panel import Plot
from napari_convgen.files.images import read_image, write_image
from napari_convgen.files.stack import write_stack
from napari_convgen.reproduction import load_study
from napari_convgen.reproduction.images import phantom, uniform_noise
from napari_convgen.reproduction.nets import ADAM, MOMENTUM, Fits, convolutional, decoder, skip_network
from napari_convgen.reproduction.study import Setting
from napari_convgen.run.compare.run import CompareTask, compare
from napari_convgen.run.image_vs_noise.run import CompareFitsTask
from napari_convgen.run.kernels.panels import all_panels, bound_words, prediction_words
from napari_convgen.run.kernels.run import KernelChoice, explore
from napari_convgen.run.spectrum.run import SpectrumTask
from napari_convgen.samples import SAMPLES

Parts = dict[str, Any]
Changes = Mapping[str, Any]
Values = np.ndarray

N_DIGITS = 16
"""Of a digest that are kept."""

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Set before numpy is loaded, so that sums do not depend on the number of cores."""

SMALL = {
    "n_threads": 1,
    "device": "cpu",
    "n_steps": 24,
    "generator.n_channels": 16,
    "generator.n_fine_channels": 8,
    "generator.n_latent_channels": 8,
}
"""Of the fits here, where nothing else is said."""

UNTIMELY = ("seconds", "seconds_per_step", "versions", "config")
"""Entries of a report that are not compared."""

EARLIER_NAMES = {"stopping.kind": "stopping.rule", "optimizer.kind": "optimizer.method"}
"""Names that settings had when they were first recorded."""

EARLIER_WORDS = {
    "noise correlation length": "alike within",  # prose: allow
    "predicted (SURE)": "foreseen (SURE)",  # prose: allow
    "Predicted error": "Error foreseen",  # prose: allow
    "Predicted gradient descent": "Gradient descent foreseen",  # prose: allow
    "Predicted degrees of freedom": "Degrees of freedom foreseen",  # prose: allow
    "is_last_predicted": "is_last_foreseen",  # prose: allow
    "values that the image reproduces": "values that the image follows",
    "Fitted in each step": "Drawn in each step",
    "signal not fitted": "signal not drawn",
    "noise fitted": "noise drawn",
    "The error is lowest at the first predicted step": "The error is least at the first step foreseen",  # prose: allow
    "The error is lowest at the last predicted step": "The error is least at the last step foreseen",  # prose: allow
    "Shown step: error": "Shown: error",
    "The noise of neighboring pixels is correlated, which the prediction does not account for": (
        "The noise of neighboring pixels is alike, which the estimate does not know of"  # prose: allow
    ),
    "Lowest bound at any step": "Least bound at any step",
    "predicted error at the best step": "foreseen at the best step",  # prose: allow
    "The bound is never below 1": "Never below 1",
    "The bound falls below 1": "Below 1",
}
"""Words that were changed since they were first recorded, with the earlier ones; only what changed the numbers is to be found."""


def is_optional(part: str) -> bool:
    """Tell whether a part is recorded of some kinds alone: settings, and what becomes of the patience."""
    return part == "again: patience" or part.partition(".")[0] in GROUPS


# What the cases know of the package: its verbs, and the parts of what each returns.


def small_config(changes: Changes = {}, preset: str = "default") -> Config:  # noqa: B006
    """Return a preset that is quickly fitted, with those changes that its kinds have."""
    changes = {**SMALL, **changes}
    config = PRESETS[preset].replace({name: value for name, value in changes.items() if name.endswith(".kind")})
    return config.replace({name: value for name, value in changes.items() if config.has(name)})


def settings_of(config: Config) -> Parts:
    """Return each setting by its dotted name."""
    parts: Parts = {}
    for name, value in config.model_dump(exclude={"operator"}).items():
        parts |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return {EARLIER_NAMES.get(name, name): value for name, value in parts.items()}


def all_rules() -> Sequence[str]:
    return tuple(GROUPS["stopping"])


def all_kinds() -> Sequence[str]:
    return tuple(kind for kind, model in GROUPS["generator"].items() if "n_scales" in model.model_fields)


def all_methods() -> Sequence[str]:
    return tuple(GROUPS["optimizer"])


def start_denoising(image: Any, changes: Changes = {}, preset: str = "default", **options: Any) -> DenoiseTask:  # noqa: B006
    return DenoiseTask(image, small_config(changes, preset), **options)


def advance(run: DenoiseTask, stop_at: int | None = None) -> Parts:
    """Go through a run, or stop it at a snapshot; return what it tells at its snapshots."""
    told, previews = [], []
    for progress in run:
        if progress.snapshot is None:
            continue
        told.append((progress.frame, progress.step, progress.n_steps, progress.seed, progress.kept_step))
        previews.append(run.preview())
        if stop_at is not None and progress.step >= stop_at:
            run.stop()
    return {"told": told, "previews": previews}


def denoised(image: Any, changes: Changes = {}, preset: str = "default", **options: Any) -> Parts:  # noqa: B006
    """Denoise an image."""
    run = start_denoising(image, changes, preset, **options)
    told = advance(run)
    return told | result_parts(run.result())


def denoised_by_function(image: Any, changes: Changes, reference: Values) -> Parts:
    """Denoise an image by the function, with what it takes beside a configuration."""
    steps: list[int] = []
    config = small_config(changes)
    result = denoise(
        image,
        config,
        seed=7,
        n_steps=30,
        stopping="held-out",
        device="cpu",
        reference=reference,
        callback=lambda p: steps.append(p.step),
        data_range=1.5,
    )
    return result_parts(result) | {"last step told": steps[-1]}


def extended(image: Any, changes: Changes, n_steps: int, from_step: int | None = None) -> Parts:
    """Denoise an image, then go on from the end or from an earlier step."""
    run = start_denoising(image, changes)
    advance(run)
    parts = {"gone back to": run.step_before_extension(from_step)}
    run.extend(n_steps, from_step)
    return parts | advance(run) | result_parts(run.result())


def stopped(image: Any, changes: Changes, step: int, **options: Any) -> Parts:
    """Denoise an image, and end that early."""
    run = start_denoising(image, changes, **options)
    return advance(run, step) | result_parts(run.result())


def kept(image: Any, changes: Changes, step: int, **options: Any) -> Parts:
    """Denoise an image, and keep another step than the rule's."""
    run = start_denoising(image, changes, **options)
    advance(run)
    return result_parts(run.result().keep(step))


def result_parts(result: Any) -> Parts:
    """Return what came of denoising."""
    parts = {
        "image": result.image,
        "step": result.step,
        "reason": str(result.reason),
        "outcome": result.reason.outcome.value,
        "notes and warnings": result.notes,
        "backend": result.backend,
        "threads": result.n_threads,
        "steps taken": result.n_steps_taken,
        "expected error": result.expected_error,
        "estimated PSNR": result.estimated_psnr,
        "data range": result.data_range,
        "axes": result.layout.axes,
        "again": [getattr(result.config, name) for name in ("n_steps", "seed", "n_restarts")],
        "report": without_untimely(result.report()),
    }
    if result.config.has("stopping.min_patience"):
        parts["again: patience"] = result.config.stopping.min_patience
    parts |= {f"curve of {name}": column for name, column in result.curves.items()}
    parts |= snapshot_parts("snapshots", result.snapshots)
    for frame in result.frames:
        name = f"frame {frame.number}"
        parts |= {
            f"{name} step": frame.step,
            f"{name} reason": str(frame.reason),
            f"{name} seed": frame.seed,
            f"{name} noise": noise_values(frame.noise),
            f"{name} interval": frame.interval,
            f"{name} votes": dict(frame.votes),
            f"{name} error": None if frame.error is None else [frame.error.mse, frame.error.deviation],
        }
    if result.reference is not None:
        parts |= {
            "scores": scores_values(result.scores(result.image)),
            "scores before": scores_values(result.scores(result.input)),
            "PSNR by step": list(result.psnr_by_step.items()),
        }
    return parts


def snapshot_parts(name: str, snapshots: Sequence[Any]) -> Parts:
    return {
        f"{name}: steps": [s.step for s in snapshots],
        f"{name}: losses": [s.loss for s in snapshots],
        f"{name}: criteria": [s.criterion for s in snapshots],
        f"{name}: iterates": [s.iterate for s in snapshots],
        f"{name}: averages": [s.average for s in snapshots],
        f"{name}: images": [s.image for s in snapshots],
        f"{name}: expected errors": [s.expected_error for s in snapshots],
    }


def noise_values(noise: Any) -> Any:
    """Return what a model of the noise says, and its sentence."""
    if noise is None:
        return None
    stable = None if noise.stable is None else [[each.mean, each.variance, each.level] for each in noise.stable]
    numbers = [*noise_parameters(noise), stable, noise.correlation_length, noise.is_shared]
    return [noise.kind, *numbers, noise.clipped_low, noise.clipped_high, noise.impulses, in_earlier_words(noise)]


def noise_parameters(noise: Any) -> list[tuple[float, ...]]:
    """Return sigma, gain and offset of each channel, 0 for those that the kind of noise does not have."""
    return [getattr(noise, name, (0.0,) * noise.n_channels) for name in ("sigma", "gain", "offset")]


def in_earlier_words(value: Any) -> str:
    """Return a text, or what a value is as text, in the words in which it was first recorded."""
    text = str(value)
    for word, earlier in EARLIER_WORDS.items():
        text = text.replace(word, earlier)
    return text


def scores_values(scores: Any) -> Any:
    return None if scores is None else [scores.psnr, scores.ssim]


def estimated(image: Values, axes: str, words: Changes) -> Parts:
    """Estimate the noise of an image."""
    layout = Layout.of(image.shape, axes, "volume" if "Z" in axes else "frames")
    values, is_observed = channels_first(image, layout)
    noise = estimate_noise(values, is_observed, is_color=layout.is_color, **words)
    stable = [] if noise.stable is None else [[each.mean, each.variance, each.level] for each in noise.stable]
    return {
        "kind": noise.kind,
        **dict(zip(("sigma", "gain", "offset"), noise_parameters(noise), strict=True)),
        "stable": stable,
        "correlation length": noise.correlation_length,
        "is shared": noise.is_shared,
        "clipped": [noise.clipped_low, noise.clipped_high],
        "impulses": noise.impulses,
        "sentence": in_earlier_words(noise),
        "variance": noise.variance(values),
    }


def compared(image: Values, methods: Sequence[str], changes: Changes, **options: Any) -> Parts:
    """Compare methods on an image."""
    result = compare(image, small_config(changes), methods=methods, **options)
    return comparison_parts(result)


def comparison_stopped(image: Values, methods: Sequence[str], changes: Changes, step: int, **options: Any) -> Parts:
    """Compare methods, and end while the generator is at that step."""
    comparison = CompareTask(image, small_config(changes), methods=methods, **options)
    for progress in comparison:
        fit = progress.fit
        if fit is not None and fit.snapshot is not None and fit.step >= step:
            comparison.stop()
    return comparison_parts(comparison.result())


def comparison_parts(result: Any) -> Parts:
    """Return what came of a comparison."""
    parts: Parts = {
        "methods": [each.method for each in result.methods],
        "noise": [noise_values(noise) for noise in result.noise],
        "notes": result.notes,
        "scores before": scores_values(result.input_scores),
        "remarks": list(result.remarks()),
        "report": without_untimely(result.report()),
    }
    for each in result.methods:
        name = each.method
        parts |= {
            f"{name} image": each.image,
            f"{name} scores": scores_values(each.scores),
            f"{name} residual": None
            if each.residual is None
            else [each.residual.spread, each.residual.autocorrelation],
            f"{name} notes": each.notes,
            f"{name} error": each.error,
            f"{name} title": each.title,
        }
        if each.image is not None:
            parts[f"{name} residual image"] = result.residual_image(name)
        if each.fit is not None:
            parts |= {f"{name} fit: {part}": value for part, value in result_parts(each.fit).items()}
    return parts


def fits_compared(image: Values, changes: Changes, words: Changes = {}, **options: Any) -> Parts:  # noqa: B006
    """Fit a generator to an image and to noise."""
    return fits_parts(compare_fits(image, small_config(changes), targets=TargetsConfig(**words), **options))


def fits_stopped(image: Values, changes: Changes, step: int) -> Parts:
    """Fit a generator to an image and to noise, and end that early."""
    run = CompareFitsTask(image, small_config(changes))
    for progress in run:
        if progress.moment is not None and progress.step >= step:
            run.stop()
    return fits_parts(run.result())


def fits_parts(result: Any) -> Parts:
    """Return what came of fits to an image and to noise."""
    parts: Parts = {
        "steps": result.steps,
        "layers": result.layers,
        "reason": str(result.reason),
        "notes": result.notes,
        "sentences": result.sentences(),
        "backend": result.backend,
        "image": result.image.values,
        "panels": panels_values(result.panels()),
        "report": without_untimely(result.report()),
    }
    for target in result.targets:
        parts |= {
            f"{target.name} values": target.values,
            f"{target.name} losses": target.losses,
            f"{target.name} errors": target.errors,
            f"{target.name} distances": target.distances,
            f"{target.name} title": target.title,
            f"{target.name} fitted": result.first_step(target.name),
        }
        parts |= snapshot_parts(f"{target.name} snapshots", target.snapshots)
    return parts


def spectrum_of(image: Values, changes: Changes, preset: str = "default", **options: Any) -> Parts:
    """Take the Jacobian of a generator apart."""
    return spectrum_parts(spectrum(image, small_config(changes, preset), **options))


def spectrum_foreseen(image: Values, changes: Changes, **options: Any) -> Parts:
    """Return what a run says of itself before it starts."""
    run = SpectrumTask(image, small_config(changes), **options)
    return {"products": run.n_products, "bytes": run.n_bytes, "steps": run.at_steps, "groups": run.groups}


def spectrum_parts(result: Any) -> Parts:
    """Return what came of taking Jacobians apart."""
    parts: Parts = {
        "groups": result.groups,
        "notes": result.notes,
        "image": result.image.values,
        "noise": noise_values(result.image.noise),
        "table": result.table(),
        "panels": panels_values(result.panels()),
        "report": without_untimely(result.report()),
    }
    for position, each in enumerate(result.spectra):
        own: Parts = {
            "singular values": each.singular_values,
            "errors": each.errors,
            "left vectors": each.left_vectors,
            "coefficients": each.coefficients,
            "image energy": each.image_energy,
            "noise energy": each.noise_energy,
            "marks": list(each.marks.items()),
            "sensitivity": each.sensitivity,
            "sensitivity error": each.sensitivity_error,
            "trace": [each.trace, each.trace_error],
            "tail": [each.tail_ranks, each.tail_values],
            "alignment": each.alignment,
            "noise alignment": each.noise_alignment,
            "angles": each.angles,
            "descent": descent_values(each.descent),
            "projections": [result.projection(n, position) for n in (1, 5, 10_000)],
            "remainders": [result.remainder(n, position) for n in (1, 5)],
        }
        parts |= {f"step {each.step}: {name}": value for name, value in own.items()}
    return parts


def descent_values(descent: Any) -> Any:
    if descent is None:
        return None
    return [descent.steps, descent.loss, descent.freedom, descent.risk, descent.rate, descent.best]


def panels_values(panels: Sequence[Any]) -> list[Any]:
    """Return what figures show."""
    shown: list[Any] = []
    for panel in panels:
        if isinstance(panel, Plot):
            curves = [[in_earlier_words(curve.label), curve.x, curve.y, curve.style] for curve in panel.curves]
            scales = [panel.x_scale, panel.y_scale]
            labels = [in_earlier_words(text) for text in (panel.title, panel.x_label, panel.y_label)]
            shown.append([*labels, curves, scales, list(panel.marks), panel.span])
        else:
            shown.append([in_earlier_words(panel.title), panel.values, panel.limits, panel.is_signed])
    return shown


def explored(kind: str, width: float, taps: Values | None, frame: Values | None, **options: Any) -> Parts:
    """Explore a kernel, on an image or without one."""
    exploration = explore(KernelChoice(kind, width, taps), frame=frame, **options)
    parts: Parts = {
        "signal's kernel": exploration.signal_kernel,
        "image's kernel": exploration.image_kernel,
        "signal's weights": [exploration.signal_filter.weights, exploration.signal_filter.rate],
        "image's weights": [exploration.image_filter.weights, exploration.image_filter.rate],
        "response": exploration.image_filter.response(30.0),
        "words": without_untimely([prediction_words(exploration, 30.0), bound_words(exploration)]),
    }
    for name, panels in all_panels(exploration, 30.0).items():
        parts[f"panels: {name}"] = panels_values(panels)
    if (prediction := exploration.prediction) is not None:
        bound = prediction.bound
        parts |= {
            "image": prediction.image.values,
            "noise": noise_values(prediction.noise),
            "noise level": prediction.noise_level,
            "freedom": prediction.freedom,
            "errors": prediction.errors,
            "best": prediction.best,
            "bound": [bound.n_signal, bound.n, bound.stopping_step, bound.at_stop.signal, bound.at_stop.noise],
            "bound's course": [bound.steps, bound.signal, bound.noise, bound.outside, bound.least],
            "drawn": [prediction.denoise(step) for step in (1.0, 30.0, 2000.0)],
        }
    return parts


def study_found(name: str) -> Parts:
    """Make one of the paper's figures again, in the quick size."""
    findings = load_study(name)(Setting(False, torch.device("cpu")))
    claims = [[c.paper, c.ours, c.tolerance, bool(c.agrees), c.because] for c in findings.claims]
    panels = panels_values(findings.panels)
    return {"claims": claims, "panels": panels, "numbers": dict(findings.numbers), "notes": findings.notes}


def study_fit(kind: str, momentum: bool) -> Parts:
    """Fit a small one of the paper's nets to the phantom, and to noise."""
    net = {
        "decoder": partial(decoder, 8, 2),
        "decoder, a layer first": partial(decoder, 8, 2, extra_layer="first"),
        "skip network": partial(skip_network, 8, 2, 0.0),
        "fixed": partial(convolutional, "fixed", n_layers=3, n_channels=8),
        "learned": partial(convolutional, "learned", n_layers=3, n_channels=8),
        "transposed": partial(convolutional, "transposed", n_layers=3, n_channels=8),
    }[kind]()
    image = phantom(32)
    noise = uniform_noise(image.shape, np.random.default_rng(0))
    fits = Fits(Setting(False, torch.device("cpu")), 2)
    parts: Parts = {"targets": [image, noise]}
    for name, target, clean in (("image", image, None), ("noise", noise, image)):
        trace = fits(name, net, target, MOMENTUM if momentum else ADAM, 20, seed=3, clean=clean)
        parts |= {
            f"{name}: steps": trace.steps,
            f"{name}: losses": trace.losses,
            f"{name}: errors": [trace.errors, trace.final_error],
            f"{name}: distances": trace.distances,
            f"{name}: half step": trace.half_step,
            f"{name}: images": [trace.best, trace.last],
        }
    return parts


def samples_drawn() -> Parts:
    """Draw the sample images."""
    samples = {name: draw() for name, draw in SAMPLES.items()}
    return {name: [each.noisy, each.clean, each.pixel_size, each.unit] for name, each in samples.items()}


def file_written_again(path: Path) -> Parts:
    """Read an image file, denoise it, write the image and its snapshots in its manner, and read these."""
    file = read_image(path)
    result = denoise(file.data, small_config({"n_steps": 12}), axes=file.axes)
    image, stack = path.with_name(f"image{path.suffix}"), path.with_name("stack.tif")
    write_image(image, result.image, file)
    steps = [s.step for s in result.snapshots]
    write_stack(stack, [s.image for s in result.snapshots], "step", steps, file)
    parts: Parts = {"read": [file.data, file.axes, dict(file.tiff), dict(file.png)], "notes": file.notes}
    for written in (image, stack):
        again = read_image(written)
        parts |= {
            f"{written.stem}: values": again.data,
            f"{written.stem}: metadata": [again.axes, dict(again.tiff), dict(again.png), again.notes],
            f"{written.stem}: bytes": written.read_bytes(),
        }
    return parts


def run_command(words: Sequence[str]) -> int:
    """Run a command of the command line, in the same process."""
    return command_line(words)


# What the cases are made of: images by formula, and digests.


def clean_image(shape: Sequence[int], shift: float = 0.0) -> Values:
    """Draw waves, a disk and an edge, from 0 to 1; the last axes are columns, rows and depth."""
    axes = [np.linspace(0, 1, n) for n in shape]
    places = np.meshgrid(*axes, indexing="ij")
    x, y = places[-1], places[-2] if len(shape) > 1 else 0 * places[-1]
    z = places[-3] if len(shape) > 2 else 0.0
    waves = 0.25 * np.sin(7 * x + shift) * np.cos(5 * y - 2 * z)
    disk = np.hypot(x - 0.4 - 0.2 * shift, y - 0.55) < 0.25 + 0.1 * z
    return 0.35 + waves + 0.3 * disk + 0.1 * (x > 0.7)


def gaussian(shape: Sequence[int] = (32, 32), sigma: float = 0.08, seed: int = 0, shift: float = 0.0) -> Values:
    return clean_image(shape, shift) + sigma * np.random.default_rng(seed).standard_normal(shape)


def photons(shape: Sequence[int] = (40, 36), seed: int = 1) -> Values:
    rng = np.random.default_rng(seed)
    counts = 3 * rng.poisson(40 * clean_image(shape)) + 100 + 2 * rng.standard_normal(shape)
    return np.rint(counts.clip(0, 65535)).astype(np.uint16)


def magnitude(shape: Sequence[int] = (40, 40), seed: int = 2) -> Values:
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    inside = np.hypot(y - shape[0] / 2, x - shape[1] / 2) < min(shape) / 2.6
    signal = 600 * clean_image(shape) * inside
    return np.hypot(signal + 30 * rng.standard_normal(shape), 30 * rng.standard_normal(shape)).astype(np.float32)


def correlated(shape: Sequence[int] = (48, 48), seed: int = 3) -> Values:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.0, mode="wrap")
    return clean_image(shape) + 0.1 * noise / noise.std()


def color(seed: int = 4, is_shared: bool = False) -> Values:
    rng = np.random.default_rng(seed)
    clean = np.stack([clean_image((32, 32), shift) for shift in (0.0, 0.5, 1.0)], -1)
    noise = rng.standard_normal((32, 32, 1 if is_shared else 3))
    return clean + 0.08 * noise


def eight_bits(image: Values) -> Values:
    return np.rint(255 * image.clip(0, 1)).astype(np.uint8)


def with_holes(image: Values, seed: int = 5) -> Values:
    holes = np.random.default_rng(seed).random(image.shape) < 0.07
    return np.where(holes, np.nan, image)


def with_impulses(image: Values, seed: int = 6) -> Values:
    chance = np.random.default_rng(seed).random(image.shape)
    return np.where(chance < 0.03, 0, np.where(chance > 0.97, 255, image)).astype(image.dtype)


def digest(value: Any) -> str:
    """Return the first digits of the SHA-256 of a value: of an array its type, shape and bytes, of a number all its digits."""
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()[:N_DIGITS]


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        state.update(f"array {value.dtype.str} {value.shape} ".encode())
        if value.dtype.kind == "f":
            value = np.where(np.isnan(value), np.array(np.nan, value.dtype), value)
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        state.update(f"mapping {len(value)} ".encode())
        for key in sorted(value, key=repr):
            _feed(state, key)
            _feed(state, value[key])
    elif isinstance(value, (list, tuple)):
        state.update(f"list {len(value)} ".encode())
        for each in value:
            _feed(state, each)
    elif isinstance(value, bytes):
        state.update(f"bytes {len(value)} ".encode() + value)
    elif value is None or isinstance(value, (bool, int, float, str)):
        state.update(f"{type(value).__name__} {value!r} ".encode())
    else:
        raise TypeError(f"A {type(value).__name__} has no digest.")


def without_untimely(value: Any) -> Any:
    """Leave away the entries of a report that differ between two runs, or that say what was asked for.

    What is said of the noise comes in the form in which it was first recorded: any noise has a gain and an offset, 0 if its kind has none.
    """
    if isinstance(value, Mapping):
        if "clipped_low" in value:
            value = dict.fromkeys(("gain", "offset"), [0.0] * len(value["sigma"])) | dict(value)
        return {without_untimely(key): without_untimely(v) for key, v in value.items() if key not in UNTIMELY}
    if isinstance(value, (list, tuple)):
        return [without_untimely(v) for v in value]
    return in_earlier_words(value) if isinstance(value, str) else value


# The cases.

Case = Callable[[], Parts]


def all_cases() -> Iterator[tuple[str, Case]]:
    """Yield each case with its name."""
    for group in (presets, data, generators, settings, rules, optimizers, continued, verbs, kernels, studies, noises):
        for name, case in group():
            yield f"{group.__name__}: {name}", case
    for name, case in files():
        yield f"files: {name}", case
    for name, case in commands():
        yield f"commands: {name}", case


def _denoised(image: Any, changes: Changes = {}, preset: str = "default", **options: Any) -> Case:  # noqa: B006
    return partial(denoised, image, changes, preset, **options)


def presets() -> Iterator[tuple[str, Case]]:
    for name, config in PRESETS.items():
        yield f"settings of {name}", partial(settings_of, config)
        shrunk = {"generator.n_channels": 12, "generator.n_fine_channels": 6, "generator.n_scales": 3, "n_steps": 20}
        yield f"{name}", _denoised(gaussian(), shrunk, name)
        yield f"{name}, color", _denoised(color(), shrunk | {"n_steps": 12}, name)


def data() -> Iterator[tuple[str, Case]]:
    auto = {"n_steps": 30}
    yield "gaussian", _denoised(gaussian(), auto)
    yield "gaussian, float32", _denoised(gaussian().astype(np.float32), auto)
    yield "gaussian, sigma given", _denoised(gaussian(), auto | {"noise.kind": "gaussian", "noise.sigma": 0.08})
    yield "33 x 45", _denoised(gaussian((33, 45)), auto)
    yield "8 bits", _denoised(eight_bits(gaussian(sigma=0.1)), auto)
    yield "16 bits, photons", _denoised(photons(), auto | {"noise.kind": "poisson-gaussian"})
    yield "16 bits, photons, auto", _denoised(photons(), auto)
    given = {"noise.kind": "poisson-gaussian", "noise.gain": 3.0, "noise.offset": 100.0, "noise.sigma": 2.0}
    yield "16 bits, photons, all given", _denoised(photons(), auto | given)
    yield "rician", _denoised(magnitude(), auto | {"noise.kind": "rician"})
    yield "rician, auto", _denoised(magnitude(), auto)
    yield "correlated, length given", _denoised(correlated(), auto | {"noise.correlation_length": 4})
    yield "correlated, auto", _denoised(correlated(), auto)
    yield "color", _denoised(color(), auto)
    yield "color, 8 bits", _denoised(eight_bits(color()), auto)
    yield "color, shared noise", _denoised(color(is_shared=True), auto | {"noise.is_shared": "yes"})
    yield "color, shared noise, auto", _denoised(color(is_shared=True), auto)
    opaque = np.concatenate([eight_bits(color()), np.full((32, 32, 1), 200, np.uint8)], -1)
    yield "color with alpha", _denoised(opaque, auto)
    channels = np.stack([gaussian(seed=10), 50 * gaussian(sigma=0.2, seed=11, shift=0.7)])
    yield "channels", _denoised(channels, auto, axes="CYX")
    yield "channels last", _denoised(np.moveaxis(channels, 0, -1), auto, axes="YXC")
    yield "missing pixels", _denoised(with_holes(gaussian()), auto)
    yield "missing pixels, color", _denoised(with_holes(color()), auto)
    yield "impulses", _denoised(with_impulses(eight_bits(gaussian((48, 48)))), auto | {"noise.has_impulses": "yes"})
    yield "impulses, auto", _denoised(with_impulses(eight_bits(gaussian((48, 48)))), auto)
    yield (
        "impulses, not looked for",
        _denoised(with_impulses(eight_bits(gaussian())), auto | {"noise.has_impulses": "no"}),
    )
    frames = np.stack([gaussian(seed=20 + i, shift=0.3 * i) for i in range(3)])
    yield "frames", _denoised(frames, auto, axes="TYX")
    yield "frames, one constant", _denoised(np.concatenate([frames[:2], 0 * frames[:1]]), auto, axes="TYX")
    yield "frames with channels", _denoised(np.stack([frames[:2], 2 * frames[1:]], 1), {"n_steps": 16}, axes="TCYX")
    yield "Z as frames", _denoised(frames, {"n_steps": 16}, axes="ZYX")
    volume = gaussian((12, 32, 32), seed=30)
    in_volume = {"z_axis": "volume", "n_steps": 12, "generator.n_channels": 8}
    yield "volume", _denoised(volume, in_volume, axes="ZYX")
    yield "volume, rows first", _denoised(np.moveaxis(volume, 0, -1), in_volume, axes="YXZ")
    yield "line", _denoised(gaussian((96,), seed=31), auto, axes="X")
    yield "truth values", _denoised(gaussian() > 0.5, auto)
    yield "integers with a sign", _denoised((1000 * gaussian()).astype(np.int32) - 500, auto)
    yield "noise none", _denoised(gaussian(), auto | {"noise.kind": "none"})
    yield "reference", _denoised(gaussian(), auto, reference=clean_image((32, 32)))
    yield "reference and data range", _denoised(color(), auto, reference=color(5), data_range=0.7)
    yield "reference of frames", _denoised(frames, {"n_steps": 16}, axes="TYX", reference=frames[::-1])
    yield "by the function", partial(denoised_by_function, gaussian(), {}, clean_image((32, 32)))


def generators() -> Iterator[tuple[str, Case]]:
    shrunk = {"generator.n_scales": 3, "generator.n_channels": 12, "n_steps": 20}
    for kind in all_kinds():
        for backend in ("numba", "torch"):
            words = shrunk | {"generator.kind": kind, "backend": backend}
            yield f"{kind}, {backend}", _denoised(gaussian(), words)
            yield f"{kind}, {backend}, color", _denoised(color(), words | {"n_steps": 10, "n_seeds": 1})
            if kind != "deep-decoder" or backend == "numba":
                yield f"{kind}, {backend}, bfloat16", _denoised(gaussian(), words | {"precision": "bfloat16"})
        for backend in ("numba", "torch") if kind == "deep-decoder" else ("torch",):
            words = {"generator.kind": kind, "backend": backend, "z_axis": "volume", "n_steps": 6, "n_seeds": 1}
            in_volume = words | {"generator.n_scales": 2, "generator.n_channels": 6, "generator.n_fine_channels": 4}
            yield f"{kind}, {backend}, volume", _denoised(gaussian((12, 32, 32), seed=30), in_volume, axes="ZYX")
    for backend in ("numba", "torch"):
        words = shrunk | {"backend": backend, "n_steps": 12, "n_seeds": 1}
        yield f"line, {backend}", _denoised(gaussian((96,), seed=31), words, axes="X")
        for order in ("relu-norm", "norm-relu"):
            for kernel in ("linear", "smooth"):
                changes = words | {"generator.order": order, "generator.kernel": kernel}
                yield f"{order}, {kernel}, {backend}", _denoised(gaussian((32, 36)), changes)
        for layer in ("first", "last"):
            yield f"extra layer {layer}, {backend}", _denoised(gaussian(), words | {"generator.extra_layer": layer})
        yield f"linear output, {backend}", _denoised(gaussian(), words | {"generator.output_map": "linear"})
        yield f"norms start uniform, {backend}", _denoised(gaussian(), words | {"generator.norm_init": "uniform"})
    skip = shrunk | {"generator.kind": "skip-network", "n_steps": 12, "n_seeds": 1}
    for name, value in {"dropout": 0.2, "input_noise": 0.3, "padding": "reflection", "kernel": "linear"}.items():
        yield f"skip-network, {name}", _denoised(gaussian(), skip | {f"generator.{name}": value})
    yield (
        "skip-network, widths",
        _denoised(
            gaussian(),
            skip | {"generator.n_skip_channels": 2, "generator.n_latent_channels": 5, "generator.n_fine_channels": 5},
        ),
    )
    guided = skip | {"generator.kind": "guided-network", "n_steps": 20, "n_seeds": 2}
    yield "guided-network, guide from step 8", _denoised(gaussian(), guided | {"generator.guide_step": 8})
    changes = {"generator.guide_step": 8, "generator.guide_noise": 0.5, "generator.recorruption": 1.0}
    yield "guided-network, noise", _denoised(gaussian(), guided | changes)
    yield "guided-network, correlated noise", _denoised(correlated(), guided | {"generator.guide_step": 8})
    yield "guided-network, photons", _denoised(photons(), guided | {"noise.kind": "poisson-gaussian"})
    yield "guided-network, missing pixels", _denoised(with_holes(gaussian()), guided | {"generator.guide_step": 8})


def settings() -> Iterator[tuple[str, Case]]:
    for n in (1, 3):
        yield f"{n} seeds", _denoised(gaussian(), {"n_seeds": n})
    yield "seed 5", _denoised(gaussian(), {"seed": 5})
    for output in ("average", "iterate"):
        yield f"output {output}", _denoised(gaussian(), {"output": output})
        yield (
            f"output {output}, skip-network",
            _denoised(gaussian(), {"output": output, "generator.kind": "skip-network"}),
        )
    for averaging in (0.0, 0.5, 1.0):
        yield f"averaging {averaging}", _denoised(gaussian(), {"averaging": averaging})
    yield "little memory for snapshots", _denoised(gaussian(), {"snapshot_memory": 0.06, "n_steps": 40})
    frames = np.stack([gaussian(seed=20 + i) for i in range(3)])
    yield "little memory for frames", _denoised(frames, {"snapshot_memory": 0.12, "n_steps": 30}, axes="TYX")
    yield "squares left out", _denoised(gaussian(), {"stopping.held_out_size": 3, "stopping.held_out_fraction": 0.25})
    diverging = {"optimizer.kind": "momentum", "optimizer.learning_rate": 1e37}
    yield "started afresh when diverged", _denoised(gaussian(), diverging)
    collapsing = {"optimizer.learning_rate": 3.0, "n_steps": 200, "stopping.kind": "fixed"}
    yield "started afresh when collapsed", _denoised(gaussian(), collapsing)


def rules() -> Iterator[tuple[str, Case]]:
    words = {
        "n_steps": 160,
        "optimizer.learning_rate": 0.05,
        "stopping.patience": 0.1,
        "stopping.min_patience": 10,
        "generator.n_channels": 24,
    }
    image = gaussian((24, 24), sigma=0.15)
    for rule in all_rules():
        changes = words | {"stopping.kind": rule}
        if rule.endswith("variance"):  # begins at step 100, where a faster fit has long drawn the noise
            changes |= {"optimizer.learning_rate": 0.001}
        yield rule, _denoised(image, changes)
        short = changes | {"n_steps": 30}
        yield f"{rule}, iterate", _denoised(image, short | {"output": "iterate", "n_seeds": 3})
        if rule in ("auto", "held-out"):
            yield f"{rule}, one seed", _denoised(image, changes | {"n_seeds": 1})
        yield f"{rule}, missing pixels", _denoised(with_holes(image), short)
        if rule == "linearized":  # takes seconds to begin
            continue
        yield f"{rule}, correlated noise", _denoised(correlated((32, 32)), short)
        yield f"{rule}, color", _denoised(color(), short | {"n_steps": 12})
        yield f"{rule}, photons", _denoised(photons(), short | {"noise.kind": "poisson-gaussian"})
        for kind in ("skip-network", "guided-network"):
            hourglass = {"generator.kind": kind, "generator.n_scales": 2, "generator.n_channels": 8, "n_steps": 16}
            yield f"{rule}, {kind}", _denoised(image, changes | hourglass | {"optimizer.learning_rate": 0.01})


def optimizers() -> Iterator[tuple[str, Case]]:
    for method in all_methods():
        rate = 0.02 if method == "adam" else 0.1
        for kind in all_kinds():
            words = {"optimizer.kind": method, "optimizer.learning_rate": rate, "generator.kind": kind}
            yield f"{method}, {kind}", _denoised(gaussian(), words | {"n_steps": 16})
    yield "momentum 0.5", _denoised(gaussian(), {"optimizer.kind": "momentum", "optimizer.momentum": 0.5})


def continued() -> Iterator[tuple[str, Case]]:
    image = gaussian()
    for kind in all_kinds():
        words = {"generator.kind": kind, "generator.n_scales": 3, "generator.guide_step": 10}
        yield f"on from the end, {kind}", partial(extended, image, words, 12)
        yield f"back to step 9 and on, {kind}", partial(extended, image, words, 15, 9)
    for rule in ("fixed", "sure", "coupled", "whiteness", "agreement", "windowed-variance", "running-variance"):
        words = {"stopping.kind": rule}
        yield f"back to step 9 and on, {rule}", partial(extended, image, words, 15, 9)
    for method in all_methods():
        yield (f"back to step 9 and on, {method}", partial(extended, image, {"optimizer.kind": method}, 15, 9))
    yield "stopped at step 11", partial(stopped, image, {}, 11)
    frames = np.stack([gaussian(seed=20 + i) for i in range(3)])
    yield "stopped in a stack", partial(stopped, frames, {}, 11, axes="TYX")
    yield "another step kept", partial(kept, image, {}, 10)
    yield "another step kept in a stack", partial(kept, frames, {}, 10, axes="TYX", reference=frames)


def verbs() -> Iterator[tuple[str, Case]]:
    methods = ("nlm", "tv", "wavelet", "convgen")
    truth = clean_image((32, 32))
    frames = np.stack([gaussian(seed=20 + i) for i in range(2)])
    short = {"n_steps": 16}
    yield "compare", partial(compared, gaussian(), methods, {})
    yield "compare, reference", partial(compared, gaussian(), methods, {}, reference=truth)
    yield (
        "compare, affine",
        partial(compared, 3 * gaussian() + 1, methods, short, reference=truth, data_range=1.2, fit_affine=True),
    )
    yield "compare, color", partial(compared, eight_bits(color()), methods, short)
    yield ("compare, photons", partial(compared, photons(), methods, short | {"noise.kind": "poisson-gaussian"}))
    yield "compare, rician", partial(compared, magnitude(), methods, short | {"noise.kind": "rician"})
    yield "compare, correlated", partial(compared, correlated(), methods, short)
    yield "compare, missing pixels", partial(compared, with_holes(gaussian()), methods, short)
    yield "compare, frames", partial(compared, frames, methods, short, axes="TYX", reference=frames[::-1])
    yield "compare, noise none", partial(compared, gaussian(), methods, short | {"noise.kind": "none"})
    yield (
        "compare, volume",
        partial(compared, gaussian((8, 24, 24)), methods, short | {"n_steps": 6, "z_axis": "volume"}, axes="ZYX"),
    )
    yield "compare, a preset", partial(compared, gaussian((16, 16)), ("tv", "convgen:default"), {})
    yield "compare, stopped", partial(comparison_stopped, gaussian(), ("tv", "convgen", "nlm"), {}, 9)

    yield "compare-fits", partial(fits_compared, gaussian(), {})
    yield (
        "compare-fits, all targets",
        partial(
            fits_compared, gaussian(), {}, {"noise": "gaussian", "mean": "kept", "added_noise": 0.1}, reference=truth
        ),
    )
    yield "compare-fits, added noise", partial(fits_compared, gaussian(), {}, {"added_noise": 0.1})
    yield "compare-fits, skip-network", partial(fits_compared, gaussian(), {"generator.kind": "skip-network"})
    yield "compare-fits, torch", partial(fits_compared, gaussian(), {"backend": "torch", "n_steps": 12})
    yield "compare-fits, color", partial(fits_compared, eight_bits(color()), short, {"added_noise": 9.0})
    yield "compare-fits, photons", partial(fits_compared, photons(), short)
    yield "compare-fits, missing pixels", partial(fits_compared, with_holes(gaussian()), short)
    yield (
        "compare-fits, paper",
        partial(fits_compared, gaussian(), {"optimizer.kind": "momentum", "generator.extra_layer": "last", "seed": 2}),
    )
    yield "compare-fits, stopped", partial(fits_stopped, gaussian(), {}, 9)

    image = gaussian((24, 24))
    narrow = {"generator.n_channels": 8, "generator.n_fine_channels": 4, "generator.n_scales": 2}
    yield "spectrum, foreseen", partial(spectrum_foreseen, image, narrow, rank=7, at_steps=(3, 0, 3))
    yield "spectrum", partial(spectrum_of, image, narrow, rank=10)
    yield "spectrum, later steps", partial(spectrum_of, image, narrow, rank=6, at_steps=(0, 5), seed=3)
    no_noise = narrow | {"noise.kind": "none"}  # no descent is foreseen, which takes longest
    for group in ("convolutions", "norms", "output"):
        yield f"spectrum, {group}", partial(spectrum_of, image, no_noise, rank=4, groups=[group])
    yield "spectrum, noise none", partial(spectrum_of, image, no_noise, rank=4)
    yield "spectrum, missing pixels", partial(spectrum_of, with_holes(image), narrow, rank=4, n_passes=3)
    yield "spectrum, color", partial(spectrum_of, color()[:16, :16], narrow, rank=4)
    yield "spectrum, photons", partial(spectrum_of, photons((24, 24)), narrow, rank=4)
    for kind in ("skip-network", "guided-network"):
        words = narrow | {"generator.kind": kind}
        yield f"spectrum, {kind}", partial(spectrum_of, image[:16, :16], words, rank=4, at_steps=(3,))


def kernels() -> Iterator[tuple[str, Case]]:
    frame = gaussian((32, 40))
    taps = {"one axis": np.array([1.0, 2.0, 4.0, 1.0, -1.0]), "two axes": np.outer([1, 3, 3, 1], [1, 2, 1])}
    choices = {
        "triangle": ("triangle", 5.0, None),
        "Gaussian": ("Gaussian", 3.5, None),
        "bilinear": ("bilinear", 5.0, None),
    }
    choices |= {f"custom, {name}": ("custom", 5.0, each) for name, each in taps.items()}
    for name, choice in choices.items():
        yield name, partial(explored, *choice, None, length=64)
        yield f"{name}, image", partial(explored, *choice, frame, length=48)
    yield "image, sigma given", partial(explored, "triangle", 4.0, None, frame, length=48, sigma=0.08)
    yield ("image, half the functions", partial(explored, "Gaussian", 2.0, None, frame, length=48, signal_share=0.5))
    yield "photons", partial(explored, "triangle", 3.0, None, photons(), length=48)
    yield "correlated", partial(explored, "triangle", 3.0, None, correlated(), length=48)


def studies() -> Iterator[tuple[str, Case]]:
    for name in ("fig3", "fig5", "fig6", "proposition1"):
        yield name, partial(study_found, name)
    for kind in ("decoder", "decoder, a layer first", "skip network", "fixed", "learned", "transposed"):
        yield f"fit of {kind}", partial(study_fit, kind, momentum=False)
    for kind in ("decoder", "learned"):
        yield f"fit of {kind} with momentum", partial(study_fit, kind, momentum=True)
    yield "samples", samples_drawn


def noises() -> Iterator[tuple[str, Case]]:
    large = (96, 80)
    clipped = eight_bits(1.6 * gaussian(large, sigma=0.1) - 0.3)
    images = {
        "gaussian": (gaussian(large), "YX"),
        "8 bits": (eight_bits(gaussian(large)), "YX"),
        "photons": (photons(large), "YX"),
        "rician": (magnitude(large), "YX"),
        "correlated": (correlated(large), "YX"),
        "color": (color(), "YXS"),
        "color, shared noise": (color(is_shared=True), "YXS"),
        "missing pixels": (with_holes(gaussian(large)), "YX"),
        "impulses": (with_impulses(eight_bits(gaussian(large))), "YX"),
        "clipped": (clipped, "YX"),
        "volume": (gaussian((12, 32, 32), seed=30), "ZYX"),
        "line": (gaussian((200,), seed=31), "X"),
        "channels": (np.stack([gaussian(large), 5 * gaussian(large, seed=1)]), "CYX"),
        "clean": (clean_image(large), "YX"),
        "small": (gaussian((9, 11)), "YX"),
    }
    for name, (image, axes) in images.items():
        yield name, partial(estimated, image, axes, {})
    for kind in ("gaussian", "poisson-gaussian", "rician"):
        for name in ("photons", "rician", "impulses"):
            yield f"{name} as {kind}", partial(estimated, *images[name], {"kind": kind})
    given = {"kind": "poisson-gaussian", "gain": 3.0, "offset": 100.0}
    yield "photons, gain and offset given", partial(estimated, *images["photons"], given)
    yield ("photons, sigma given", partial(estimated, *images["photons"], {"kind": "poisson-gaussian", "sigma": 2.0}))
    yield "length given", partial(estimated, *images["correlated"], {"correlation_length": 3})
    yield "shared, not asked", partial(estimated, *images["color, shared noise"], {"is_shared": "no"})
    yield "impulses, not asked", partial(estimated, *images["impulses"], {"has_impulses": "no"})


def files() -> Iterator[tuple[str, Case]]:
    gray, rgb = photons((24, 28)), eight_bits(color())
    stack = np.stack([photons((24, 28), seed=i) for i in range(2)])
    imagej = {"imagej": True, "resolution": (9.26, 9.26), "metadata": {"unit": "um", "axes": "TYX", "finterval": 0.5}}
    ome = {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.11, "PhysicalSizeXUnit": "µm"}}
    yield "plain", partial(_file, "noisy.tif", gray, {"resolution": (300, 300), "description": "a sample"})
    yield "float", partial(_file, "noisy.tif", gaussian((24, 28)).astype(np.float32), {"compression": "zlib"})
    yield "color", partial(_file, "noisy.tif", rgb, {"photometric": "rgb"})
    yield "ImageJ", partial(_file, "noisy.tif", stack, imagej)
    yield "OME", partial(_file, "noisy.ome.tif", stack, ome)
    yield "PNG", partial(_file, "noisy.png", gray, {})
    yield "PNG, color", partial(_file, "noisy.png", rgb, {})


def _file(name: str, image: Values, tags: Mapping[str, Any]) -> Parts:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        _write(path, image, tags)
        if path.suffix == ".tif" and path.stem.endswith(".ome"):
            path = path.rename(path.with_name("noisy.tif"))
        return file_written_again(path)


def _write(path: Path, image: Values, tags: Mapping[str, Any]) -> None:
    if path.suffix == ".png":
        Image.fromarray(image).save(path)
    else:
        tifffile.imwrite(path, image, **tags)


def commands() -> Iterator[tuple[str, Case]]:
    small = ["--quiet", "--set", *(f"{name}={value}" for name, value in SMALL.items() if Config().has(name))]
    written = ["--snapshots", "out/steps.tif", "--expected-error", "out/error.tif", "--report", "out/report.json"]
    to_file = ["denoise", "noisy.tif", "-o", "out/image.tif", "--reference", "clean.tif", *written]
    yield "denoise", partial(_command, [*to_file, *small])
    preset = ["--preset", "paper", "--seed", "4", "--steps", "9", "--stopping", "held-out", "--axes", "YX"]
    narrow = ["generator.n_channels=8", "generator.n_scales=2"]
    yield (
        "denoise, a preset",
        partial(_command, ["denoise", "noisy.tif", "-o", "out/image.tif", *written[-2:], *small, *narrow, *preset]),
    )
    yield ("compare", partial(_command, ["compare", "noisy.tif", "-o", "out", "--reference", "clean.tif", *small]))
    fits = ["compare-fits", "noisy.tif", "-o", "out", "--reference", "clean.tif", "--added-noise", "20"]
    yield "compare-fits", partial(_command, [*fits, *small])
    yield (
        "spectrum",
        partial(_command, ["spectrum", "noisy.tif", "-o", "out", "--rank", "3", "--at-step", "0", *small, *narrow]),
    )
    yield "reproduce", partial(_command, ["reproduce", "fig3", "-o", "out", "--device", "cpu", "--quiet"])


def _command(words: Sequence[str]) -> Parts:
    """Run a command on a file; return the values of what it writes."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), warnings.catch_warnings():
        noisy = photons((32, 32))
        tifffile.imwrite("noisy.tif", noisy, imagej=True, resolution=(5, 5), metadata={"unit": "um", "axes": "YX"})
        tifffile.imwrite("clean.tif", np.rint(120 * clean_image((32, 32)) + 100).astype(np.uint16))
        Path("out").mkdir()
        parts: Parts = {"status": run_command(words)}
        for path in sorted(Path("out").iterdir()):
            if path.suffix == ".tif":
                parts[path.name] = tifffile.imread(path)
            elif path.suffix == ".csv":
                parts[path.name] = in_earlier_words(path.read_text())
            elif path.suffix == ".json":
                report = without_untimely(json.loads(path.read_text()))
                parts |= {f"{path.name}: {name}": value for name, value in report.items()}
        return parts


# Recording and comparing.


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--record", type=Path, metavar="FILE")
    what.add_argument("--compare", type=Path, metavar="FILE")
    parser.add_argument(
        "--only", nargs="+", action="extend", default=[], help="cases whose name has one of these in it"
    )
    parser.add_argument("--verbose", action="store_true", help="print each case with the seconds that it took")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("tifffile").addHandler(logging.NullHandler())

    cases = dict(all_cases())
    chosen = [name for name in cases if not arguments.only or any(text in name for text in arguments.only)]
    if arguments.record:
        found = {name: measure(name, cases[name], arguments.verbose) for name in chosen}
        text = json.dumps({"header": header(), "cases": found}, indent=1, ensure_ascii=False)
        arguments.record.write_text(text + "\n", encoding="utf-8")
        print(f"{len(found)} cases recorded, {sum(map(len, found.values()))} parts.")
        return 0
    recorded = json.loads(arguments.compare.read_text(encoding="utf-8"))
    for name, value in header().items():
        if recorded["header"].get(name) != value:
            print(f"Recorded with {name} {recorded['header'].get(name)}, now {value}: digests may differ for that.")
    gone = [] if arguments.only else [name for name in recorded["cases"] if name not in cases]
    for name in gone:
        print(f"{name}: is no case any more")
    counts = [compare_case(name, cases[name], recorded["cases"].get(name), arguments.verbose) for name in chosen]
    n_equal, n_cases = sum(equal for equal, _ in counts), sum(different == 0 for _, different in counts)
    n_different = sum(different for _, different in counts)
    print(f"{n_cases} of {len(chosen)} cases equal; {n_equal} parts equal, {n_different} different.")
    return 1 if n_different or gone else 0


def header() -> dict[str, Any]:
    """Return what digests depend on beside the package."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    return versions | {"cpu_count": os.cpu_count(), "cpu_capability": torch.backends.cpu.get_cpu_capability()}


def measure(name: str, case: Case, is_verbose: bool) -> dict[str, str]:
    """Run a case; return the digest of each part."""
    start = time.perf_counter()
    parts = case()
    if is_verbose:
        words = [str(parts[part]) for part in ("status", "reason", "sentence") if part in parts]
        print(f"{time.perf_counter() - start:6.2f} s  {name}  {' '.join(words)}", flush=True)
    return {part: digest(value) for part, value in parts.items()}


def compare_case(name: str, case: Case, recorded: Mapping[str, str] | None, is_verbose: bool) -> tuple[int, int]:
    """Run a case again, print what differs; return how many parts are equal and different."""
    if recorded is None:
        print(f"{name}: was not recorded")
        return 0, 1
    try:
        now = measure(name, case, is_verbose)
    except Exception:
        print(f"{name}: failed\n{traceback.format_exc()}")
        return 0, len(recorded)
    words = {part: "is new" for part in now if part not in recorded}
    words |= {part: "is gone" for part in recorded if part not in now and not is_optional(part)}
    words |= {part: "differs" for part in recorded if part in now and now[part] != recorded[part]}
    for part, what in words.items():
        print(f"{name}: {part} {what}", flush=True)
    return len(set(now) & set(recorded)) - list(words.values()).count("differs"), len(words)


if __name__ == "__main__":
    sys.exit(main())
