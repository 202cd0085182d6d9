"""From the words of a configuration to the objects of the numerics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import Config, NoiseConfig
from napari_convgen.core.generators import DeepDecoder, Generator, GuidedNetwork, SkipNetwork
from napari_convgen.core.generators.deep_decoder import layer_sizes
from napari_convgen.core.generators.fused import fuse, fuse_norms
from napari_convgen.core.generators.fused.grid import grids
from napari_convgen.core.generators.memory import fit_bytes, skip_bytes
from napari_convgen.core.image import Layout, channels_first
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.noise.estimate import estimate_noise
from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import FixedStep, HeldOut, StoppingRule
from napari_convgen.core.stopping.agreement import SeedAgreement
from napari_convgen.core.stopping.auto import AutomaticStop
from napari_convgen.core.stopping.coupled import CoupledSplit
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.linearized import LinearizedDynamics
from napari_convgen.core.stopping.sure import MonteCarloSure
from napari_convgen.core.stopping.whiteness import ResidualWhiteness
from napari_convgen.core.stopping.windowed_variance import RunningVariance, WindowedVariance
from napari_convgen.errors import ConfigError, InputError, mismatch
from napari_convgen.run.setup.devices import FASTEST, Backend, resolve_backend

DECODER_WORDS = {"order", "output_map", "extra_layer", "norm_init", "kernel"}
"""Settings of a deep decoder beside its channels and scales."""

HOURGLASS_WORDS = {"n_channels", "n_fine_channels", "n_skip_channels", "padding", "output_map", "kernel"}
SKIP_WORDS = HOURGLASS_WORDS | {"n_latent_channels", "input_noise", "dropout"}
GUIDED_WORDS = HOURGLASS_WORDS | {"recorruption", "guide_step", "guide_noise"}
"""Settings of a skip network and of a guided one, and those that both have, beside the scales."""

_HOURGLASSES: Mapping[str, tuple[type[SkipNetwork] | type[GuidedNetwork], set[str]]] = {
    "skip-network": (SkipNetwork, SKIP_WORDS),
    "guided-network": (GuidedNetwork, GUIDED_WORDS),
}

_FEATURES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


COARSEST_SIDE, MIN_SCALES = 16, 3
"""With ``n_scales = "auto"``, the shorter side of the latent's grid has about this many pixels, but there are so many scales."""

SKIP_SCALES = 4
"""Scales of a skip network with ``n_scales = "auto"``."""


def random_source(seed: int, number: int) -> torch.Generator:
    """Return a source of chance of its own for each ``number`` from 0 of a run: the same for the same seed."""
    [state] = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def resolve_scales(config: Config, size: Sequence[int]) -> int:
    """Check the number of scales against the image, or choose it.

    Raises
    ------
    ConfigError
        So many scales leave nothing of the image.
    """
    n_scales = config.generator.n_scales
    most = max(1, math.ceil(math.log2(max(size))) - 1)
    if n_scales == "auto" and config.generator.kind != "deep-decoder":
        return min(SKIP_SCALES, most)
    if n_scales == "auto":
        long_sides = [n for n in size if n >= 4 * COARSEST_SIDE] or [max(size)]  # a thin volume is thin at any scale
        wanted = round(math.log2(min(long_sides) / COARSEST_SIDE))
        return min(max(MIN_SCALES, wanted), most)
    n_scales = int(n_scales)
    if not 1 <= n_scales <= most:
        raise ConfigError(
            mismatch(
                "generator.n_scales must leave more than one pixel of the image on the coarsest grid",
                expected=f"1 to {most} for {' × '.join(map(str, size))} pixels",
                got=n_scales,
                advice="Use 'auto' or a larger image.",
            )
        )
    return n_scales


def check_guidance(config: Config) -> None:
    """Refuse settings that a guided network cannot do with.

    Raises
    ------
    ConfigError
        Noise that is not to be modeled, or a rule that asks for the generator without the image.
    """
    if not config.generator.draws_from_image:
        return
    if config.noise.kind == "none":
        raise ConfigError("A guided network needs the noise's level, and noise.kind is 'none'. Choose 'auto'.")
    if config.stopping.rule == "linearized":
        raise ConfigError(
            "The rule 'linearized' foresees the descent of a generator with a fixed input, which the guided network is not. "
            "Choose 'auto'."
        )


def check_noise_level(config: Config, problem: Problem) -> None:
    """Refuse to let a guided network draw from an image whose noise is not known.

    Raises
    ------
    InputError
        No noise was found.
    """
    if config.generator.draws_from_image and problem.noise_level is None:
        raise InputError(
            "No noise was found in the image, and a guided network needs its level. Set noise.sigma, or use a skip-network."
        )


def fastest_backend(config: Config, device: torch.device, n_axes: int) -> Backend:
    """Return what computes a generator over so many spatial axes fastest on a device, were all installed.

    Networks with learned convolutions have fused norms on the CPU. Volumes are left to PyTorch's layout of channels first: its convolution
    of volumes in half precision reads memory that was never written where channels come last (oneDNN 3.12).
    """
    fastest = FASTEST.get(device.type, "torch")
    if config.generator.kind == "deep-decoder":
        return fastest
    return fastest if fastest == "numba" and n_axes < 3 else "torch"


def resolve_generator_backend(config: Config, device: torch.device, n_axes: int) -> Backend:
    """Return what computes the generator on a device: the fastest that is installed, where none is named.

    Raises
    ------
    ConfigError
        The backend that is named does not compute such a generator.
    DeviceError
        It does not run on the device or is not installed.
    """
    name, kind = config.backend, config.generator.kind
    if kind != "deep-decoder" and (name == "triton" or (name == "numba" and n_axes == 3)):
        volume = " of a volume" if name == "numba" else ""
        raise ConfigError(f"The backend '{name}' does not compute a {kind}{volume}. Choose 'auto'.")
    if name == "auto" and fastest_backend(config, device, n_axes) == "torch":
        name = "torch"
    return resolve_backend(name, device)


def build_noise(frame: NDArray[Any], layout: Layout, words: NoiseConfig) -> NoiseModel | None:
    """Model the noise of a frame of a checked array; ``None`` where it is to be fitted as it is."""
    if words.kind == "none":
        return None
    values, is_observed = channels_first(frame, layout)
    return estimate_noise(values, is_observed, is_color=layout.is_color, **words.model_dump())


def count_members(config: Config) -> int:
    """Return how many nets a run fits together."""
    return config.n_seeds + (config.stopping.rule == "sure")


def generator_bytes(config: Config, size: Sequence[int], n_outputs: int, n_scales: int, backend: Backend) -> int:
    """Return about how many bytes a fit takes at its peak, without its snapshots."""
    words, n_members = config.generator, count_members(config)
    if words.kind != "deep-decoder":
        return skip_bytes(
            size,
            n_outputs,
            n_members=n_members,
            n_scales=n_scales,
            n_inputs=n_outputs if words.draws_from_image else words.n_latent_channels,
            n_channels=words.n_channels,
            n_fine_channels=words.n_fine_channels,
            n_skip_channels=words.n_skip_channels,
            has_dropout=words.dropout > 0 and not words.draws_from_image,
            padding=words.padding,
            itemsize=_FEATURES[config.precision].itemsize,
        )
    layers = grids(layer_sizes(size, n_scales, words.extra_layer), words.kernel)
    return fit_bytes(layers, n_members, words.n_channels, n_outputs, is_fused=backend != "torch")


def build_generator(
    config: Config,
    size: Sequence[int],
    n_outputs: int,
    n_scales: int,
    starts: Sequence[int],
    seed: int,
    backend: Backend,
) -> Generator:
    """Build the generator at its start, on the CPU; members with the same start draw the same."""
    words = config.generator
    rngs = [random_source(seed, 1 + start) for start in starts]
    if words.kind != "deep-decoder":
        network, names = _HOURGLASSES[words.kind]
        options = words.model_dump(include=names) | {"features_dtype": _FEATURES[config.precision]}
        built = network(size, n_outputs, rngs=rngs, n_scales=n_scales, **options)
        if backend == "numba":
            fuse_norms(built)
        return built
    options = words.model_dump(include=DECODER_WORDS)
    decoder = DeepDecoder(size, n_outputs, rngs=rngs, n_channels=words.n_channels, n_scales=n_scales, **options)
    return fuse(decoder, backend, config.precision)


def build_optimizer(config: Config, generator: Generator) -> torch.optim.Optimizer:
    """Build the optimizer over a generator that is on its device."""
    rate, parameters = config.optimizer.learning_rate, list(generator.parameters())
    if config.optimizer.method == "adam":
        kind = parameters[0].device.type
        return torch.optim.Adam(parameters, lr=rate, fused=kind != "mps", capturable=kind == "cuda")
    momentum = config.optimizer.momentum if config.optimizer.method == "momentum" else 0.0
    return torch.optim.SGD(parameters, lr=rate, momentum=momentum)


def build_rule(config: Config, plain_generator: Callable[[], Generator]) -> StoppingRule:
    """Build the stopping rule, for one fit.

    Parameters
    ----------
    config
        Names the rule.
    plain_generator
        Builds the generator of the first member at its start, of operations that can be differentiated forwards.
    """
    if config.stopping.rule == "linearized":
        return LinearizedDynamics(plain_generator().eval())
    return _RULES[config.stopping.rule](config)


def _held_out(config: Config) -> HeldOut:
    words = config.stopping
    return HeldOut(words.held_out_fraction, words.held_out_size, words.patience, words.min_patience, config.output)


def _patience(config: Config) -> tuple[float, int]:
    return config.stopping.patience, config.stopping.min_patience


_RULES: Mapping[str, Callable[[Config], StoppingRule]] = {
    "auto": lambda config: AutomaticStop(_held_out(config)),
    "fixed": lambda config: FixedStep(),
    "held-out": _held_out,
    "sure": lambda config: MonteCarloSure(config.output, 1, 0.2, *_patience(config)),
    "coupled": lambda config: CoupledSplit(config.output, 0.3, 0.8, *_patience(config)),
    "discrepancy": lambda config: Discrepancy(config.output),
    "whiteness": lambda config: ResidualWhiteness(config.output, 2, *_patience(config)),
    "agreement": lambda config: SeedAgreement(config.output, *_patience(config)),
    "windowed-variance": lambda config: WindowedVariance(),
    "running-variance": lambda config: RunningVariance(),
}
