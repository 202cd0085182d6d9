"""The checked input of every verb: an image, a configuration, and where to compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from napari_convgen.config import Config
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators import Generator
from napari_convgen.core.image import (
    SEPARATE,
    TOGETHER,
    ImageTensor,
    Layout,
    Measured,
    share_structure,
)
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.noise import NOISE_MODELS, NoiseModel, estimate_noise
from napari_convgen.core.noise.precision import Precision
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import Members, StoppingRule
from napari_convgen.errors import ConfigError, InputError, mismatch
from napari_convgen.run.setup.backends import (
    compiler_notes,
    describe_slow_backend,
    resolve_generator_backend,
    resolve_number_format,
)
from napari_convgen.run.setup.build import (
    build_generator,
    build_noise,
    build_operator,
    build_rule,
    check_guidance,
    check_noise_level,
    generator_bytes,
    resolve_scales,
)
from napari_convgen.run.setup.devices import Backend, keep_triton_out, resolve_device, resolve_threads
from napari_convgen.run.setup.forecast import CROP, Seconds, advise_on_memory
from napari_convgen.run.setup.frames import Frames
from napari_convgen.run.setup.guides import GuideStages, make_guides, make_plug_and_play_guides, time_guides
from napari_convgen.run.setup.inputs import (
    ImageLike,
    as_image,
    check_letters,
    resolve_config,
    with_known_noise,
)
from napari_convgen.run.setup.result_type import ResultType

QUIET_NOTE = "No noise was found in channel {} (from 0), unlike in the others: left out of the fit, and unchanged."

TOGETHER_NOTE = (
    "The samples of a color image are fitted together, although channels = 'separate'. "
    "Name their axis C, not S, to fit each alone."
)

COLOR_NOTE = (
    "The last axis, of {} values, is taken for the samples of a color image, since no axes are named. If it counts slices or channels, "
    "name the axes: axes = 'YXZ' or 'YXC'."
)

CHANNEL_NOTE = (
    "The last axis, of {} values, is taken for channels, since no axes are named. If it counts columns or slices, "
    "name the axes: axes = 'ZYX' or 'YXZ'."
)


class Prepared(Frames):
    """The frames of an image, and a configuration that fits them, checked.

    Values of an array in memory are checked at once. Of a lazy array (dask, zarr) the frames are checked as they are read, each once, up
    to the first that there is something to fit in.

    Parameters
    ----------
    image
        Array with 1 to 3 spatial axes, channels or color, further axes as frames; integers, floats or truth values; NaN marks missing
        pixels. Or an `Image`, which knows its axes and scale, or the path of an image file.
    config
        Settings, name of a preset, or ``None`` for the preset ``"default"``.
    axes
        One letter for each axis of ``image``, see `napari_convgen.core.image.Layout`; ``None`` takes the image's own, or guesses.
    n_spared_threads
        Number of threads that ``n_threads = "auto"`` leaves to others, such as a window; default 0.
    single
        Start of the sentence that refuses an image of several frames, such as ``"The spectrum is that of a single image"``; ``None``
        allows them.
    operator
        Function from the shape of a measurement to its forward operator, whose images can have other shapes; ``None``, the default, for the
        configuration's, which must keep the shape.
    has_tiles
        True if each tile of a large frame is taken for a frame; False, the default, for whole frames.

    Attributes
    ----------
    config
        The settings.
    image_size
        Number of pixels along each spatial axis of the images that the generator makes: ``size`` unless an operator changes it.
    has_identity
        True if the forward operator is the identity.
    spacing
        Distance between neighboring pixels along each spatial axis, in the image's units; ``None`` if it is not known, or they differ.
    n_outputs
        Number of channels of a frame.
    n_scales
        Number of the generator's scales.
    device, n_threads, backend, number_format
        Device, threads of the CPU, and what computes the generator.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be run, in a sentence.
    """

    smaller: ClassVar[str] = CROP
    """What makes the input need less memory."""

    patience: ClassVar[int] = 1
    """Factor of the least patience of a stopping rule that has one."""

    def __init__(
        self,
        image: ImageLike,
        config: Config | str | None = None,
        *,
        axes: str | None = None,
        n_spared_threads: int = 0,
        single: str | None = None,
        operator: Callable[[Sequence[int]], ForwardModel] | None = None,
        has_tiles: bool = False,
    ) -> None:
        given = as_image(image, axes=axes)
        self.config = with_known_noise(resolve_config(config), given)
        array, self._file_notes = given.data, given.notes
        if 0 in array.shape or not array.shape:
            raise InputError(f"The image has no pixels: its shape is {tuple(array.shape)}. Choose another one.")
        if single is not None and isinstance(self.config.tiles.size, int):
            raise ConfigError(f"Tiles are for denoising, got tiles.size = {self.config.tiles.size}. Choose 'whole'.")
        letters = check_letters(given.axes if axes is None else axes)
        self._latest_noise: tuple[int, NoiseModel | None] | None = None
        self._quiet_channels: set[int] = set()
        self._is_single = single is not None
        layout = Layout.of(array.shape, letters, self.config.z_axis)
        super().__init__(array, layout, self.config.tiles if has_tiles else None)
        self._guessed_last = self.layout.axes[-1] if letters is None and self.image.shape[-1] > 1 else ""
        # A task for a single image fits the channels together unless it is told to fit them alone.
        has_channels = "C" in self.layout.axes and self.layout.n_channels(self.image.shape) > 1
        self._chooses_channels = has_channels and self.config.channels == "auto" and single is None
        if self._fits_channels_alone():
            self._latest_noise = None
            self._divide(replace(self.layout, is_joint=False))
        self.spacing = given.spacing(self.layout)
        self.n_outputs = self.layout.n_channels(self.image.shape)
        self._operator = functools.partial(build_operator, self.config) if operator is None else operator
        model = self._operator((self.n_outputs, *self.size))
        self.image_size, self.has_identity = model.in_shape[1:], model.is_identity
        self.n_scales = resolve_scales(self.config, self.image_size, self.spacing)
        check_guidance(self.config)
        keep_triton_out()
        self.device = resolve_device(self.config.device)
        self.n_threads = resolve_threads(self.config.n_threads, n_spared_threads)
        self.backend = resolve_generator_backend(self.config, self.device, len(self.size))
        self.number_format = resolve_number_format(self.config, self.device, self.backend)
        self._check_operator(model, keeps_shape=operator is None)
        self._check_magnitudes()
        if single is not None and self.n_frames > 1:
            whole = " Or set z_axis to 'volume'." if "Z" in self.layout.axes else ""
            raise InputError(f"{single}, got {self.n_frames} frames. Choose one of them.{whole}")

    @property
    def memory_advice(self) -> str:
        """Sentence on how to need less memory: the crop of the image, and what else there is to choose."""
        has_network = self.config.has("generator.n_channels") and not self.config.generator.is_guide_alone
        return advise_on_memory(self.smaller, has_network, "Z" in self.layout.spatial and not self._is_single)

    def _fits_channels_alone(self) -> bool:
        """Return True if each channel is fitted by its own generator."""
        if not self._chooses_channels:
            return "C" in self.layout.axes and self.config.channels == "separate"
        measured = self.measured(self.first_frame())
        return not share_structure(measured.values, measured.is_observed)

    @property
    def config_again(self) -> Config:
        """The settings, with the device, threads and backend that are used: with them another run takes the same bits."""
        used = {
            "device": str(self.device),
            "n_threads": self.n_threads,
            "backend": self.backend,
            "precision": self.number_format,
        }
        return self.config.replace(used)

    @property
    def backend_notes(self) -> tuple[str, ...]:
        """Sentences on a backend that would be faster and is not available, and on compiled code that could not be kept."""
        slow = describe_slow_backend(self.config, self.device, len(self.size), self.backend)
        return (() if slow is None else (slow,)) + compiler_notes(self.backend)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the backend, and on what becomes of the result."""
        return self.backend_notes + self.result_notes

    @property
    def result_notes(self) -> tuple[str, ...]:
        """Sentences on whether channels are fitted together, and on the type of the result."""
        channels = (TOGETHER if self.layout.is_joint else SEPARATE) if self._chooses_channels else ""
        return tuple(note for note in (channels, self.result_type.note) if note)

    def input_notes(self) -> Iterator[str]:
        """Say what a file's reading said, what is left out of the fits, and what the frames look like."""
        yield from self._file_notes
        yield from self.look_notes()
        if self._quiet_channels:
            yield QUIET_NOTE.format(", ".join(map(str, sorted(self._quiet_channels))))
        if self.layout.is_color and self.config.channels == "separate":
            yield TOGETHER_NOTE
        if guess := {"S": COLOR_NOTE, "C": CHANNEL_NOTE}.get(self._guessed_last):
            yield guess.format(self.image.shape[-1])

    def noise_model(self, number: int) -> NoiseModel | None:
        """Return the model of a frame's noise; ``None`` if the configuration fits it as it is. The latest is remembered."""
        if self._latest_noise is None or self._latest_noise[0] != number:
            self._latest_noise = number, build_noise(self.measured(number), self.layout, self.config.noise)
        return self._latest_noise[1]

    def _fitted_part(self, number: int, measured: Measured) -> Measured:
        """Return what is fitted: no channels without noise beside others with noise, where the generator needs to know it."""
        config = self.config
        if len(measured.channels) < 2 or not (config.generator.draws_from_image and config.noise.is_estimated):
            return measured
        noise = build_noise(measured, self.layout, config.noise)
        if noise is None:
            return measured
        self._latest_noise = number, noise
        values = np.nan_to_num(measured.values)
        is_noisy = noise.variance(values).max(tuple(range(1, values.ndim))) > 0
        if is_noisy.all() or not is_noisy.any():
            return measured
        self._latest_noise = None
        self._quiet_channels |= set(np.asarray(measured.channels)[~is_noisy].tolist())
        return measured.only(is_noisy)

    def any_noise_model(self, number: int) -> NoiseModel:
        """Return the model of a frame's noise; estimated also if the configuration fits the frame as it is."""
        measured, model = self.measured(number), self.noise_model(number)
        return model or estimate_noise(measured.values, measured.is_observed, is_color=self.layout.is_color)

    def scaled(self, number: int) -> ImageTensor:
        """Return a frame in the generator's units, its noise stabilized; under a forward operator, which maps intensities, it is not."""
        precision = self._find_precision(number)
        if precision is None:
            return self.scaled_for(number, self.noise_model(number))
        return replace(self.scaled_for(number, precision.noise), weights=precision.weights)

    def scaled_for(self, number: int, noise: NoiseModel | None) -> ImageTensor:
        """Return a frame in the generator's units, stabilized for this model of its noise."""
        return ImageTensor.of(self.frame(number), self.layout, noise, self.measured(number), self.result_type.dtype)

    def _find_precision(self, number: int) -> Precision | None:
        """Return what stands for noise that is not the same everywhere, under a forward operator; ``None`` without one."""
        noise = self.noise_model(number)
        if self.has_identity or noise is None or not (noise.is_signal_dependent or noise.level_map):
            return None
        measured = self.measured(number)
        return Precision.of(noise, measured.values, measured.is_observed)

    @functools.cached_property
    def result_type(self) -> ResultType:
        """Type of a denoised image, one for all frames: decided by the first frame that is not constant."""
        number = self.first_frame()
        measured, noise = self.measured(number), functools.partial(self.any_noise_model, number)
        return ResultType.of(self.config.dtype, np.dtype(self.image.dtype), measured, self.layout.is_color, noise)

    def problem(self, image: ImageTensor) -> Problem:
        """Return the problem that a frame poses on the device."""
        problem = Problem.of(image, self.device, operator=self._operator(image.values.shape))
        check_noise_level(self.config, problem)
        return problem

    def guides(
        self, problem: Problem, image: ImageTensor, members: Members, is_stopping: Callable[[], bool]
    ) -> GuideStages:
        """Make the estimates that guide the fit of a frame; see `napari_convgen.run.setup.guides.make_guides`."""
        if self.config.generator.is_plug_and_play:
            return (yield from make_plug_and_play_guides(problem, self.layout, members, is_stopping))
        made = yield from make_guides([image], {0: members}, self.layout, self.device, is_stopping)
        return made[0]

    def time_guides(self, image: ImageTensor, fit: Fit) -> Seconds:
        """Return about how long these estimates take; 0 if there are none."""
        return time_guides(image, self.layout, fit, self.device, self.config.generator.is_plug_and_play)

    def rule(self, image: ImageTensor, seed: int) -> StoppingRule:
        """Return the stopping rule for one fit."""
        config, least = self.config, "stopping.min_patience"
        if config.has(least):
            config = config.replace({least: self.patience * config.value(least)})
        return build_rule(config, lambda: self.generator(image, [0], seed, "torch"))

    def generator(
        self, image: ImageTensor, starts: Sequence[int], seed: int, backend: Backend | None = None
    ) -> Generator:
        """Return the generator for a frame at its start, on the device.

        Parameters
        ----------
        image
            The frame in the generator's units.
        starts
            Number of each member's start.
        seed
            Seed of the starts.
        backend
            What computes the generator; the task's own if ``None``.
        """
        n_outputs = len(image.values)
        plan = (self.image_size, n_outputs, self.n_scales, starts, seed, backend or self.backend, self.spacing)
        built = build_generator(self.config.replace({"precision": self.number_format}), *plan)
        return built.to(self.device)

    def generator_bytes(self, n_outputs: int | None = None, backend: Backend | None = None, **changes: Any) -> int:
        """Return about how many bytes the generator and its fit take at their peak, without snapshots.

        Parameters
        ----------
        n_outputs
            Number of channels; those of a frame if ``None``.
        backend
            What computes the generator; the task's own if ``None``.
        **changes
            Settings of the configuration to change for this question.
        """
        config = self.config.replace({"precision": self.number_format} | changes)
        plan = (self.image_size, n_outputs or self.n_outputs, self.n_scales, backend or self.backend, self.spacing)
        return generator_bytes(config, *plan)

    def _check_magnitudes(self) -> None:
        """Refuse negative values in any frame of an array in memory, if the noise is said to be that of magnitudes."""
        kind = NOISE_MODELS.get(self.config.noise.kind)
        if kind is None or not kind.is_of_magnitudes or type(self.image) is not np.ndarray:
            return
        for number, piece in enumerate(self.pieces):
            if np.fmin.reduce(self.image[piece.window], axis=None) < 0 and not self.check(number).is_constant:
                try:
                    self.scaled(number)
                except InputError as error:  # what the values look like can be the reason
                    raise InputError(" ".join((str(error), *self.look_notes()))) from error

    def _check_operator(self, operator: ForwardModel, keeps_shape: bool) -> None:
        """Refuse what holds for denoising only, if there is a forward operator."""
        if operator.is_identity:
            return
        shape = (self.n_outputs, *self.size)
        if keeps_shape and (operator.in_shape, operator.out_shape) != (shape, shape):
            raise ConfigError(
                mismatch(
                    f"The forward operator '{self.config.operator.kind}' must keep the shape of the image",
                    expected=shape,
                    got=(operator.in_shape, operator.out_shape),
                    advice="Reconstruct the image instead, or choose operator.kind = 'identity'.",
                )
            )
        is_guided = self.config.generator.is_plug_and_play and isinstance(operator, LinearMap)
        if self.config.generator.draws_from_image and not is_guided:
            raise ConfigError(
                f"A {self.config.generator.kind} needs a measurement that is the image itself, and there is a forward operator. "
                "Choose generator.kind = 'deep-decoder', or for a linear operator generator.guide = 'plug-and-play'."
            )
        generator = functools.partial(
            build_generator, self.config, self.image_size, self.n_outputs, self.n_scales, [0], 0, "torch"
        )
        if build_rule(self.config, generator).needs_identity:
            raise ConfigError(
                f"The stopping rule '{self.config.stopping.kind}' holds for denoising only, and there is a forward operator. "
                "Choose stopping.kind = 'auto' or 'held-out'."
            )
