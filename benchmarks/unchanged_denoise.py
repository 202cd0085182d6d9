"""Denoising in the cases of unchanged.py: small configurations, ways to run them, and the parts of the result that are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from napari_convgen import PRESETS, Config, DenoiseTask, denoise
from napari_convgen.config import GROUPS
from unchanged_digest import without_untimely

Parts = dict[str, Any]
"""Parts of what a case gives, by name; each is compared by itself."""

Case = Callable[[], Parts]
"""Function that runs a case and returns the parts that are compared."""

Changes = Mapping[str, Any]
"""Values of settings by their dotted names."""

Values = np.ndarray
"""Array of pixel values."""

SMALL = {
    "n_threads": 1,
    "device": "cpu",
    "n_steps": 24,
    "generator.n_channels": 16,
    "generator.n_fine_channels": 8,
    "generator.n_latent_channels": 8,
}
"""Settings of the fits in the cases, unless a case changes them. Chosen so that a fit takes a fraction of a second on one thread."""


def small_config(changes: Changes = {}, preset: str = "deep-decoder") -> Config:  # noqa: B006
    """Return a preset with `SMALL` settings and with those changes that its kinds have."""
    changes = {**SMALL, **changes}
    config = PRESETS[preset].replace({name: value for name, value in changes.items() if name.endswith(".kind")})
    return config.replace({name: value for name, value in changes.items() if config.has(name)})


def settings_of(config: Config) -> Parts:
    """Return each setting by its dotted name."""
    parts: Parts = {}
    for name, value in config.model_dump(exclude={"operator"}).items():
        parts |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return parts


def all_rules() -> Sequence[str]:
    return tuple(GROUPS["stopping"])


def all_kinds() -> Sequence[str]:
    return tuple(kind for kind, model in GROUPS["generator"].items() if "n_scales" in model.model_fields)


def all_methods() -> Sequence[str]:
    return tuple(GROUPS["optimizer"])


def start_denoising(image: Any, changes: Changes = {}, preset: str = "deep-decoder", **options: Any) -> DenoiseTask:  # noqa: B006
    return DenoiseTask(image, small_config(changes, preset), **options)


def advance(run: DenoiseTask, stop_at: int | None = None) -> Parts:
    """Run to the end, or stop at the first snapshot from ``stop_at`` on; return progress and preview at each snapshot."""
    told, previews = [], []
    for progress in run:
        if progress.snapshot is None:
            continue
        told.append((progress.frame, progress.step, progress.n_steps, progress.seed, progress.kept_step))
        previews.append(run.preview())
        if stop_at is not None and progress.step >= stop_at:
            run.stop()
    return {"told": told, "previews": previews}


def denoised(image: Any, changes: Changes = {}, preset: str = "deep-decoder", **options: Any) -> Parts:  # noqa: B006
    """Denoise an image."""
    run = start_denoising(image, changes, preset, **options)
    told = advance(run)
    return told | result_parts(run.result())


def denoised_by_function(image: Any, changes: Changes, reference: Values) -> Parts:
    """Denoise an image by the function, with arguments of its own beside a configuration."""
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
    """Denoise an image, then continue from the end or from an earlier step."""
    run = start_denoising(image, changes)
    advance(run)
    parts = {"gone back to": run.step_before_extension(from_step)}
    run.extend(n_steps, from_step)
    return parts | advance(run) | result_parts(run.result())


def stopped(image: Any, changes: Changes, step: int, **options: Any) -> Parts:
    """Denoise an image, and stop at a step."""
    run = start_denoising(image, changes, **options)
    return advance(run, step) | result_parts(run.result())


def kept(image: Any, changes: Changes, step: int, **options: Any) -> Parts:
    """Denoise an image, and keep another step than that of the rule."""
    run = start_denoising(image, changes, **options)
    advance(run)
    return result_parts(run.result().keep(step))


def result_parts(result: Any) -> Parts:
    """Return the parts of the result of denoising."""
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
    """Return the values of a model of the noise, and its sentence."""
    if noise is None:
        return None
    stable = None if noise.stable is None else [[each.mean, each.variance, each.level] for each in noise.stable]
    numbers = [*noise_parameters(noise), stable, noise.correlation_length, noise.is_shared]
    return [noise.kind, *numbers, noise.clipped_low, noise.clipped_high, noise.impulses, str(noise)]


def noise_parameters(noise: Any) -> list[tuple[float, ...]]:
    """Return sigma, gain and offset of each channel, 0 for those that the kind of noise does not have."""
    return [getattr(noise, name, (0.0,) * noise.n_channels) for name in ("sigma", "gain", "offset")]


def scores_values(scores: Any) -> Any:
    return None if scores is None else [scores.psnr, scores.ssim]
