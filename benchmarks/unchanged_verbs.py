"""The other verbs in the cases of unchanged.py: ways to run them, and the parts of their results that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_convgen import TargetsConfig, compare_fits, denoise, reconstruct, simulate, spectrum
from napari_convgen.cli import main as command_line
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
from unchanged_denoise import (
    Changes,
    Parts,
    Values,
    noise_parameters,
    noise_values,
    result_parts,
    scores_values,
    small_config,
    snapshot_parts,
)
from unchanged_digest import without_untimely


def estimated(image: Values, axes: str, options: Changes) -> Parts:
    """Estimate the noise of an image."""
    layout = Layout.of(image.shape, axes, "volume" if "Z" in axes else "frames")
    values, is_observed = channels_first(image, layout)
    noise = estimate_noise(values, is_observed, is_color=layout.is_color, **options)
    stable = [] if noise.stable is None else [[each.mean, each.variance, each.level] for each in noise.stable]
    return {
        "kind": noise.kind,
        **dict(zip(("sigma", "gain", "offset"), noise_parameters(noise), strict=True)),
        "stable": stable,
        "correlation length": noise.correlation_length,
        "is shared": noise.is_shared,
        "clipped": [noise.clipped_low, noise.clipped_high],
        "impulses": noise.impulses,
        "sentence": str(noise),
        "variance": noise.variance(values),
    }


def compared(image: Values, methods: Sequence[str], changes: Changes, **options: Any) -> Parts:
    """Compare methods on an image."""
    result = compare(image, small_config(changes), methods=methods, **options)
    return comparison_parts(result)


def comparison_stopped(image: Values, methods: Sequence[str], changes: Changes, step: int, **options: Any) -> Parts:
    """Compare methods, and stop when the fit of the generator is at a step."""
    comparison = CompareTask(image, small_config(changes), methods=methods, **options)
    for progress in comparison:
        fit = progress.fit
        if fit is not None and fit.snapshot is not None and fit.step >= step:
            comparison.stop()
    return comparison_parts(comparison.result())


def comparison_parts(result: Any) -> Parts:
    """Return the parts of the result of a comparison."""
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


def reconstructed(truth: Values, preset: str, problem: str, **options: Any) -> Parts:
    """Simulate a measurement of an image, and reconstruct the image from it."""
    config = small_config({"n_steps": 8}, preset)
    measured = simulate(truth, config, problem=problem, seed=1, **options)
    given = {"is_missing": measured.is_missing, "psf": measured.psf, "is_sampled": measured.is_sampled}
    kept = {name: value for name, value in given.items() if value is not None}
    result = reconstruct(measured.measurement, measured.config, problem=problem, **kept)
    parts: Parts = {
        "measurement": measured.measurement.data,
        "image": result.image,
        "generator's image": result.generator_image,
        "rho": result.rho,
        "residual": result.residual,
        "measurement error": result.measurement_error,
        "step": result.step,
        "reason": str(result.reason),
        "loss": result.loss,
        "criterion": result.criterion,
        "notes": result.notes,
        "report": without_untimely(result.report()),
    }
    parts |= {f"extra {name}": value for name, value in result.extras.items()}
    return parts | snapshot_parts("snapshots", result.snapshots)


def fits_compared(image: Values, changes: Changes, targets: Changes = {}, **options: Any) -> Parts:  # noqa: B006
    """Fit a generator to an image and to noise."""
    return fits_parts(compare_fits(image, small_config(changes), targets=TargetsConfig(**targets), **options))


def fits_stopped(image: Values, changes: Changes, step: int) -> Parts:
    """Fit a generator to an image and to noise, and stop at a step."""
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


def spectrum_of(image: Values, changes: Changes, preset: str = "deep-decoder", **options: Any) -> Parts:
    """Compute the spectrum of a generator's Jacobian."""
    return spectrum_parts(spectrum(image, small_config(changes, preset), **options))


def spectrum_predicted(image: Values, changes: Changes, **options: Any) -> Parts:
    """Return what a task of a spectrum has computed before it starts."""
    run = SpectrumTask(image, small_config(changes), **options)
    return {"products": run.n_products, "bytes": run.n_bytes, "steps": run.at_steps, "groups": run.groups}


def spectrum_parts(result: Any) -> Parts:
    """Return the parts of the result of a spectrum."""
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
    """Return the contents of panels."""
    shown: list[Any] = []
    for panel in panels:
        if isinstance(panel, Plot):
            curves = [[curve.label, curve.x, curve.y, curve.style] for curve in panel.curves]
            scales = [panel.x_scale, panel.y_scale]
            labels = [panel.title, panel.x_label, panel.y_label]
            shown.append([*labels, curves, scales, list(panel.marks), panel.span])
        else:
            shown.append([panel.title, panel.values, panel.limits, panel.is_signed])
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
    """Reproduce a figure of the paper, in the quick size."""
    findings = load_study(name)(Setting(False, torch.device("cpu")))
    claims = [[c.paper, c.ours, c.tolerance, bool(c.agrees), c.because] for c in findings.claims]
    panels = panels_values(findings.panels)
    return {"claims": claims, "panels": panels, "numbers": dict(findings.numbers), "notes": findings.notes}


def study_fit(kind: str, momentum: bool) -> Parts:
    """Fit a small net of the paper to the phantom, and to noise."""
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
    """Read an image file, denoise it, write the image and its snapshots with the same metadata, and read them again."""
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


def run_command(arguments: Sequence[str]) -> int:
    """Run a command of the command line, in the same process."""
    return command_line(arguments)
