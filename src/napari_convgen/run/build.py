"""From the words of a configuration to the objects of the numerics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from napari_convgen.config import Config
from napari_convgen.core.fused import fuse
from napari_convgen.core.generators import DeepDecoder, Generator
from napari_convgen.core.stopping import FixedStep, HeldOutPixels, StoppingRule
from napari_convgen.core.stopping.agreement import SeedAgreement
from napari_convgen.core.stopping.auto import AutomaticStop
from napari_convgen.core.stopping.coupled import CoupledSplit
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.sure import MonteCarloSure
from napari_convgen.core.stopping.whiteness import ResidualWhiteness
from napari_convgen.core.stopping.windowed_variance import RunningVariance, WindowedVariance
from napari_convgen.run.devices import Backend


def random_source(seed: int, number: int) -> torch.Generator:
    """Return a source of chance of its own for each ``number`` from 0 of a run: the same for the same seed."""
    [state] = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def count_members(config: Config) -> int:
    """Return how many nets a run fits together."""
    return config.n_seeds + (config.stopping.rule == "sure")


def build_generator(
    config: Config, size: Sequence[int], n_outputs: int, n_scales: int, starts: Sequence[int], seed: int, backend: Backend
) -> Generator:
    """Build the generator at its start, on the CPU; members with the same start draw the same."""
    words = config.generator
    decoder = DeepDecoder(
        size,
        n_outputs,
        rngs=[random_source(seed, 1 + start) for start in starts],
        n_channels=words.n_channels,
        n_scales=n_scales,
        order=words.order,
        output_map=words.output_map,
        has_full_resolution_layer=words.has_full_resolution_layer,
        norm_init=words.norm_init,
        kernel=words.kernel,
    )
    return fuse(decoder, backend, config.precision)


def build_optimizer(config: Config, generator: Generator) -> torch.optim.Optimizer:
    """Build the optimizer over a generator that is on its device."""
    rate, parameters = config.optimizer.learning_rate, list(generator.parameters())
    if config.optimizer.method == "adam":
        kind = parameters[0].device.type
        return torch.optim.Adam(parameters, lr=rate, fused=kind != "mps", capturable=kind == "cuda")
    momentum = config.optimizer.momentum if config.optimizer.method == "momentum" else 0.0
    return torch.optim.SGD(parameters, lr=rate, momentum=momentum)


def build_rule(config: Config) -> StoppingRule:
    """Build the stopping rule, for one fit."""
    return _RULES[config.stopping.rule](config)


def _held_out(config: Config) -> HeldOutPixels:
    words = config.stopping
    return HeldOutPixels(
        words.held_out_fraction, words.held_out_size, words.patience, words.min_patience, config.output
    )


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
