"""From the settings of a configuration to the objects of the numerics: one table for each part, from a kind to what builds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from napari_convgen.config import Config, Kind, NoiseConfig, TwoLayerConfig
from napari_convgen.core.fit.optimizers import Adam, GradientDescent, Optimizer
from napari_convgen.core.generators import (
    ConvDecoder,
    ConvolutionalGenerator,
    DeepDecoder,
    Generator,
    GuidedNetwork,
    SkipNetwork,
    TaughtNetwork,
    TwoLayer,
    conv_decoder,
    convolutional,
    deep_decoder,
    skip,
    taught,
    two_layer,
)
from napari_convgen.core.generators.fused import fuse, fuse_norms
from napari_convgen.core.image import Layout, Measured
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.noise.estimate import estimate_noise
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.operators.identity import identity
from napari_convgen.core.operators.resizing import box_downsampling, lanczos_downsampling
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Output
from napari_convgen.core.stopping import FixedStep, HeldOut, StoppingRule
from napari_convgen.core.stopping.agreement import SeedAgreement
from napari_convgen.core.stopping.auto import AutomaticStop
from napari_convgen.core.stopping.coupled import CoupledSplit
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.linearized import LinearizedDynamics
from napari_convgen.core.stopping.sure import MonteCarloSure
from napari_convgen.core.stopping.whiteness import ResidualWhiteness
from napari_convgen.core.stopping.windowed_variance import RunningVariance, WindowedVariance
from napari_convgen.core.theory.kernels import gaussian, normalized, product, triangular
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run.setup import scales
from napari_convgen.run.setup.devices import Backend
from napari_convgen.run.setup.point_spreads import point_spread

FEATURES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Types of the hidden layers' values, by precision."""

NO_NOISE_ANYWHERE = (
    "No noise was found in the image, and a guided or taught network needs its level. Set noise.sigma, or choose the preset "
    "'deep-decoder'."
)
"""Error for an image without noise that a generator draws from."""


@dataclass(frozen=True)
class Plan:
    """What is known of a generator beside its settings.

    Attributes
    ----------
    size
        Spatial shape of the image.
    spacing
        Distance between neighboring pixels along each axis; ``None`` if it is the same along all, or not known.
    n_outputs
        Number of channels of the image.
    n_scales
        Number of scales, chosen; 0 for a generator that has none.
    rngs
        Source of chance of each member.
    backend
        What computes the generator.
    precision
        Number format of the hidden layers.
    """

    size: Sequence[int]
    spacing: scales.Spacing
    n_outputs: int
    n_scales: int
    rngs: Sequence[torch.Generator]
    backend: Backend
    precision: Any


@dataclass(frozen=True)
class GeneratorEntry:
    """What a kind of generator is made of.

    Attributes
    ----------
    network
        Its class, which says what computes it and with which precisions.
    build
        Function from its settings and a plan to the generator.
    count_bytes
        Function from the image's size, its number of channels, ``n_members``, ``n_scales``, ``is_fused`` (True if another backend than
        PyTorch computes the generator), ``itemsize`` (bytes of a hidden value) and the settings to the bytes that a step takes.
    choose_scales
        Function from its settings, the image's size and the distances between its pixels to the number of scales; it refuses settings
        that the size does not allow.
        By default there are no scales, and any size will do.
    """

    network: type[Generator]
    build: Callable[[Any, Plan], Generator]
    count_bytes: Callable[..., int]
    choose_scales: Callable[[Any, Sequence[int], scales.Spacing], int] = scales.no_scales


def random_source(seed: int, *numbers: int) -> torch.Generator:
    """Return a source of chance of its own for all ``numbers`` from 0 of a run: the same for the same seed."""
    [state] = np.random.SeedSequence(seed, spawn_key=numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def resolve_scales(config: Config, size: Sequence[int], spacing: scales.Spacing = None) -> int:
    """Check the generator's settings against the image's size, and return its number of scales; 0 if it has none.

    Distances between pixels along each axis may be given, see `Plan`.

    Raises
    ------
    ConfigError
        Settings that the size does not allow.
    """
    return generator_entry(config).choose_scales(config.generator, size, spacing)


def check_guidance(config: Config) -> None:
    """Refuse settings that a generator which draws from the image cannot do with.

    Raises
    ------
    ConfigError
        Noise that is not modeled, a rule that asks for the generator without the image, or frames to be denoised together by a generator
        that cannot.
    """
    if config.frames.fit == "joint" and not config.generator.has_guide:
        raise ConfigError(
            "frames.fit = 'joint' needs a generator that is guided by the non-local estimate. "
            "Choose frames.fit = 'auto', or the preset 'default'."
        )
    if not config.generator.draws_from_image:
        return
    if not config.noise.is_modeled:
        raise ConfigError(
            "A guided or taught network needs the noise's level, and noise.kind is 'none'. Choose 'auto'."
        )
    if config.stopping.needs_fixed_input:
        raise ConfigError(
            f"The rule '{config.stopping.kind}' predicts the descent of a generator with a fixed input, which this one is not. "
            "Choose 'auto'."
        )
    if config.generator.has_guide and config.stopping.adds_noise:
        raise ConfigError(
            f"The rule '{config.stopping.kind}' adds noise to the image, which the non-local estimate would not have. "
            "Choose stopping.kind = 'auto', or the preset 'guided-network'."
        )


def check_noise_level(config: Config, problem: Problem) -> None:
    """Refuse to let a guided network draw from an image whose noise is not known; in turns with a measurement it need not be.

    Raises
    ------
    InputError
        No noise was found.
    """
    settings = config.generator
    if settings.draws_from_image and not settings.is_plug_and_play and problem.noise_level is None:
        raise InputError(NO_NOISE_ANYWHERE)


def build_noise(measured: Measured, layout: Layout, settings: NoiseConfig) -> NoiseModel | None:
    """Model the noise of what was measured of a frame; ``None`` where it is fitted as it is."""
    if not settings.is_modeled:
        return None
    return estimate_noise(measured.values, measured.is_observed, is_color=layout.is_color, **settings.model_dump())


def build_operator(config: Config, shape: Sequence[int]) -> ForwardModel:
    """Build the forward operator of a measurement.

    Parameters
    ----------
    config
        Settings of the operator.
    shape
        Shape of the measurement: channels first.
    """
    return _OPERATORS[config.operator.kind](config.operator, shape)


def count_members(config: Config) -> int:
    """Return how many nets a run fits together."""
    return config.n_seeds + config.stopping.n_twins


def generator_bytes(
    config: Config,
    size: Sequence[int],
    n_outputs: int,
    n_scales: int,
    backend: Backend,
    spacing: scales.Spacing = None,
) -> int:
    """Return about how many bytes a fit takes at its peak, without its snapshots."""
    return generator_entry(config).count_bytes(
        size,
        n_outputs,
        n_members=count_members(config),
        n_scales=n_scales,
        is_fused=backend != "torch",
        itemsize=FEATURES[config.precision].itemsize,
        spacing=spacing,
        **_options(config.generator),
    )


def build_generator(
    config: Config,
    size: Sequence[int],
    n_outputs: int,
    n_scales: int,
    starts: Sequence[int],
    seed: int,
    backend: Backend,
    spacing: scales.Spacing = None,
) -> Generator:
    """Build the generator at its start, on the CPU; members with the same start draw the same."""
    rngs = [random_source(seed, 1 + start) for start in starts]
    plan = Plan(size, spacing, n_outputs, n_scales, rngs, backend, config.precision)
    return generator_entry(config).build(config.generator, plan)


def build_optimizer(config: Config, generator: Generator) -> Optimizer:
    """Build the optimizer over a generator that is on its device, with the learning rate that suits what it knows."""
    rate = config.optimizer.learning_rate * generator.pace
    settings = config.optimizer.model_copy(update={"learning_rate": rate})
    return _OPTIMIZERS[settings.kind](settings, generator.parameters())


def build_rule(config: Config, plain_generator: Callable[[], Generator]) -> StoppingRule:
    """Build the stopping rule, for one fit.

    Parameters
    ----------
    config
        Settings of the rule, and the image that it judges.
    plain_generator
        Function that builds the generator of the first member at its start, of operations that can be differentiated forwards.
    """
    return _RULES[config.stopping.kind](config.stopping, config.output, plain_generator)


def generator_entry(config: Config) -> GeneratorEntry:
    """Return what is known of a configuration's kind of generator."""
    return GENERATORS[config.generator.kind]


def _options(settings: Kind) -> dict[str, Any]:
    """Return a generator's settings as its class takes them; the number of scales is in the plan, and what guides it is the fit's."""
    return settings.model_dump(exclude={"kind", "n_scales", "guide", "network_share"})


def _build_decoder(settings: Any, plan: Plan) -> Generator:
    options = _options(settings) | {"n_scales": plan.n_scales, "spacing": plan.spacing}
    decoder = DeepDecoder(plan.size, plan.n_outputs, rngs=plan.rngs, **options)
    return fuse(decoder, plan.backend, plan.precision)


def _build_hourglasses(network: type[SkipNetwork | GuidedNetwork]) -> Callable[[Any, Plan], Generator]:
    def build(settings: Any, plan: Plan) -> Generator:
        own = {"n_scales": plan.n_scales, "spacing": plan.spacing, "features_dtype": FEATURES[plan.precision]}
        built = network(plan.size, plan.n_outputs, rngs=plan.rngs, **_options(settings) | own)
        if plan.backend == "numba":
            fuse_norms(built)
        return built

    return build


def _build_taught(settings: Any, plan: Plan) -> Generator:
    own = {"n_scales": plan.n_scales, "spacing": plan.spacing, "features_dtype": FEATURES[plan.precision]}
    return TaughtNetwork(plan.size, plan.n_outputs, rngs=plan.rngs, **_options(settings) | own)


def _build_convolutional(settings: Any, plan: Plan) -> Generator:
    options = _options(settings) | {"spacing": plan.spacing}
    return ConvolutionalGenerator(plan.size, plan.n_outputs, rngs=plan.rngs, **options)


def _build_conv_decoder(settings: Any, plan: Plan) -> Generator:
    return ConvDecoder(plan.size, plan.n_outputs, rngs=plan.rngs, **_options(settings))


def _build_two_layer(settings: TwoLayerConfig, plan: Plan) -> Generator:
    if plan.n_outputs != 1:
        raise ConfigError(
            f"A two-layer generator makes images of one channel, and this one has {plan.n_outputs}. Choose another generator.kind, or "
            "give the channels as frames."
        )
    kernel = normalized(product(plan.size, lambda n: _LINES[settings.blur](n, settings.blur_width)))
    return TwoLayer(
        torch.from_numpy(kernel).float(),
        n_channels=settings.n_channels,
        weight_scale=settings.weight_scale,
        rngs=plan.rngs,
    )


_LINES: Mapping[str, Callable[[int, float], Float[np.ndarray, "n"]]] = {
    "triangular": lambda n, width: triangular((n,), round(width)),
    "gaussian": lambda n, width: gaussian((n,), width / n),
}


GENERATORS: Mapping[str, GeneratorEntry] = {
    "deep-decoder": GeneratorEntry(DeepDecoder, _build_decoder, deep_decoder.memory_bytes, scales.decoder_scales),
    "skip-network": GeneratorEntry(
        SkipNetwork, _build_hourglasses(SkipNetwork), skip.memory_bytes, scales.hourglass_scales
    ),
    "guided-network": GeneratorEntry(
        GuidedNetwork, _build_hourglasses(GuidedNetwork), skip.memory_bytes, scales.hourglass_scales
    ),
    "taught-network": GeneratorEntry(TaughtNetwork, _build_taught, taught.memory_bytes, scales.hourglass_scales),
    "convolutional": GeneratorEntry(
        ConvolutionalGenerator, _build_convolutional, convolutional.memory_bytes, scales.convolutional_scales
    ),
    "conv-decoder": GeneratorEntry(ConvDecoder, _build_conv_decoder, conv_decoder.memory_bytes),
    "two-layer": GeneratorEntry(TwoLayer, _build_two_layer, two_layer.memory_bytes, scales.two_layer_scales),
}
"""The generators by their kind."""


def _refuse(settings: Any, shape: Sequence[int]) -> ForwardModel:
    raise ConfigError(
        f"The operator '{settings.kind}' maps an image to something else, and this is an image. Choose operator.kind = 'identity', or "
        "reconstruct what it maps to."
    )


_DOWNSAMPLINGS = {"box": box_downsampling, "lanczos": lanczos_downsampling}


def _blurring(settings: Any, shape: Sequence[int]) -> ForwardModel:
    """Return a blur of images of which nothing but the shape is known."""
    return blurring(shape, point_spread(settings, "ZYX"[-len(shape) + 1 :], shape[1:], {}))


_OPERATORS: Mapping[str, Callable[[Any, Sequence[int]], ForwardModel]] = {
    "identity": lambda settings, shape: identity(shape),
    **dict.fromkeys(("blur", "widefield", "confocal"), _blurring),
    "downsampling": lambda settings, shape: _DOWNSAMPLINGS[settings.weighting](
        shape, [settings.factor] * (len(shape) - 1)
    ),
    **dict.fromkeys(("fourier", "weighted-sums", "through-focus", "led-array"), _refuse),
}


_OPTIMIZERS: Mapping[str, Callable[[Any, Iterable[torch.nn.Parameter]], Optimizer]] = {
    "adam": lambda s, parameters: Adam(parameters, s.learning_rate),
    "gradient-descent": lambda s, parameters: GradientDescent(parameters, s.learning_rate),
    "momentum": lambda s, parameters: GradientDescent(parameters, s.learning_rate, s.momentum),
}


def _held_out(s: Any, output: Output) -> HeldOut:
    return HeldOut(s.held_out_fraction, s.held_out_size, s.patience, s.min_patience, output)


_RULES: Mapping[str, Callable[[Any, Output, Callable[[], Generator]], StoppingRule]] = {
    "auto": lambda s, output, _: AutomaticStop(_held_out(s, output)),
    "fixed": lambda s, output, _: FixedStep(),
    "held-out": lambda s, output, _: _held_out(s, output),
    "sure": lambda s, output, _: MonteCarloSure(output, s.n_probes, s.probe_size, s.patience, s.min_patience),
    "coupled": lambda s, output, _: CoupledSplit(output, s.added_noise, s.fitted_share, s.patience, s.min_patience),
    "discrepancy": lambda s, output, _: Discrepancy(output, s.tau),
    "whiteness": lambda s, output, _: ResidualWhiteness(output, s.max_lag, s.patience, s.min_patience),
    "agreement": lambda s, output, _: SeedAgreement(output, s.patience, s.min_patience),
    "linearized": lambda s, output, plain: LinearizedDynamics(plain().eval(), s.tolerance, s.n_products),
    "windowed-variance": lambda s, output, _: WindowedVariance(s.window, min_patience=s.n_waiting_steps),
    "running-variance": lambda s, output, _: RunningVariance(s.latest_weight, min_patience=s.n_waiting_steps),
}
