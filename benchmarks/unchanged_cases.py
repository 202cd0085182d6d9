"""The cases of unchanged.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from napari_convgen import PRESETS
from unchanged_denoise import (
    Case,
    Changes,
    all_kinds,
    all_methods,
    all_rules,
    denoised,
    denoised_by_function,
    extended,
    kept,
    settings_of,
    stopped,
)
from unchanged_files import commands, files
from unchanged_images import (
    clean_image,
    color,
    correlated,
    eight_bits,
    gaussian,
    magnitude,
    photons,
    with_holes,
    with_impulses,
)
from unchanged_verbs import (
    compared,
    comparison_stopped,
    estimated,
    explored,
    fits_compared,
    fits_stopped,
    reconstructed,
    samples_drawn,
    spectrum_of,
    spectrum_predicted,
    study_fit,
    study_found,
)


def all_cases() -> Iterator[tuple[str, Case]]:
    """Yield each case with its name."""
    for group in (
        presets,
        data,
        generators,
        settings,
        rules,
        optimizers,
        continued,
        verbs,
        inverse,
        kernels,
        studies,
        noises,
    ):
        for name, case in group():
            yield f"{group.__name__}: {name}", case
    for name, case in files():
        yield f"files: {name}", case
    for name, case in commands():
        yield f"commands: {name}", case


def _denoised(image: Any, changes: Changes = {}, preset: str = "deep-decoder", **options: Any) -> Case:  # noqa: B006
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
            changes = shrunk | {"generator.kind": kind, "backend": backend}
            yield f"{kind}, {backend}", _denoised(gaussian(), changes)
            yield f"{kind}, {backend}, color", _denoised(color(), changes | {"n_steps": 10, "n_seeds": 1})
            if kind != "deep-decoder" or backend == "numba":
                yield f"{kind}, {backend}, bfloat16", _denoised(gaussian(), changes | {"precision": "bfloat16"})
        for backend in ("numba", "torch") if kind == "deep-decoder" else ("torch",):
            changes = {"generator.kind": kind, "backend": backend, "z_axis": "volume", "n_steps": 6, "n_seeds": 1}
            in_volume = changes | {"generator.n_scales": 2, "generator.n_channels": 6, "generator.n_fine_channels": 4}
            yield f"{kind}, {backend}, volume", _denoised(gaussian((12, 32, 32), seed=30), in_volume, axes="ZYX")
    for backend in ("numba", "torch"):
        changes = shrunk | {"backend": backend, "n_steps": 12, "n_seeds": 1}
        yield f"line, {backend}", _denoised(gaussian((96,), seed=31), changes, axes="X")
        for order in ("relu-norm", "norm-relu"):
            for kernel in ("linear", "smooth"):
                changes = changes | {"generator.order": order, "generator.kernel": kernel}
                yield f"{order}, {kernel}, {backend}", _denoised(gaussian((32, 36)), changes)
        for layer in ("first", "last"):
            yield f"extra layer {layer}, {backend}", _denoised(gaussian(), changes | {"generator.extra_layer": layer})
        yield f"linear output, {backend}", _denoised(gaussian(), changes | {"generator.output_map": "linear"})
        yield f"norms start uniform, {backend}", _denoised(gaussian(), changes | {"generator.norm_init": "uniform"})
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
    changes = {
        "n_steps": 160,
        "optimizer.learning_rate": 0.05,
        "stopping.patience": 0.1,
        "stopping.min_patience": 10,
        "generator.n_channels": 24,
    }
    image = gaussian((24, 24), sigma=0.15)
    for rule in all_rules():
        changes = changes | {"stopping.kind": rule}
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
            changes = {"optimizer.kind": method, "optimizer.learning_rate": rate, "generator.kind": kind}
            yield f"{method}, {kind}", _denoised(gaussian(), changes | {"n_steps": 16})
    yield "momentum 0.5", _denoised(gaussian(), {"optimizer.kind": "momentum", "optimizer.momentum": 0.5})


def continued() -> Iterator[tuple[str, Case]]:
    image = gaussian()
    for kind in all_kinds():
        changes = {"generator.kind": kind, "generator.n_scales": 3, "generator.guide_step": 10}
        yield f"on from the end, {kind}", partial(extended, image, changes, 12)
        yield f"back to step 9 and on, {kind}", partial(extended, image, changes, 15, 9)
    for rule in ("fixed", "sure", "coupled", "whiteness", "agreement", "windowed-variance", "running-variance"):
        changes = {"stopping.kind": rule}
        yield f"back to step 9 and on, {rule}", partial(extended, image, changes, 15, 9)
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
    yield "spectrum, predicted", partial(spectrum_predicted, image, narrow, rank=7, at_steps=(3, 0, 3))
    yield "spectrum", partial(spectrum_of, image, narrow, rank=10)
    yield "spectrum, later steps", partial(spectrum_of, image, narrow, rank=6, at_steps=(0, 5), seed=3)
    no_noise = narrow | {"noise.kind": "none"}  # then no descent is predicted, which takes longest
    for group in ("convolutions", "norms", "output"):
        yield f"spectrum, {group}", partial(spectrum_of, image, no_noise, rank=4, groups=[group])
    yield "spectrum, noise none", partial(spectrum_of, image, no_noise, rank=4)
    yield "spectrum, missing pixels", partial(spectrum_of, with_holes(image), narrow, rank=4, n_passes=3)
    yield "spectrum, color", partial(spectrum_of, color()[:16, :16], narrow, rank=4)
    yield "spectrum, photons", partial(spectrum_of, photons((24, 24)), narrow, rank=4)
    for kind in ("skip-network", "guided-network"):
        changes = narrow | {"generator.kind": kind}
        yield f"spectrum, {kind}", partial(spectrum_of, image[:16, :16], changes, rank=4, at_steps=(3,))


def inverse() -> Iterator[tuple[str, Case]]:
    optics = {"numerical_aperture": 0.5, "wavelength": 520, "pixel_size": 0.2, "refractive_index": 1.0, "z_step": 2.0}
    problems: dict[str, dict[str, Any]] = {
        "inpaint": {"missing": 0.5},
        "deblur": {"sigma": 1.5, "photons": 100},
        "enlarge": {"factor": 2, "noise": 0.02},
        "sensing": {"measured": 0.5, "noise": 0.02},
        "sense": {"acceleration": 2, "noise": 0.02, "n_coils": 4},
        "phase": {**optics, "n_planes": 5, "photons": 500},
    }
    for problem, options in problems.items():
        for preset in ("quick", "default", "deep-decoder"):
            yield f"{problem}, {preset}", partial(reconstructed, clean_image((48, 48)), preset, problem, **options)


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
