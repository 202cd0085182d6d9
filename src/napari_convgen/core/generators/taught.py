"""A small network that learns from an estimate how to take noise off, and takes it off the measurement then.

References
----------
Vaksman, Elad and Milanfar, "LIDIA: Lightweight Learned Image Denoising With Instance Adaptation", CVPR Workshops 2020, for what is
learned: the denoised image itself is what the network is trained with, after others. Here the others are drawings by formula.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from napari_convgen.core.cpu.threads import for_each_member
from napari_convgen.core.generators.components import combined, principal_basis
from napari_convgen.core.generators.denoiser import DRAWN_WEIGHTS, DRAWN_WIDTHS, WIDTH, Denoiser
from napari_convgen.core.generators.generator import FLOAT_BYTES, N_IMAGES, N_WEIGHT_COPIES, named_layers
from napari_convgen.core.generators.grids import Size, grid_sizes, strides
from napari_convgen.core.generators.image_input import ImageInput
from napari_convgen.core.generators.input_noise import GaussianDraws
from napari_convgen.core.generators.layers import Start

N_CROPS, CROP_PIXELS = 2, 96**2
"""Number of crops in a lesson, and of pixels in each, about. Chosen on the tuning images of benchmarks/quality.py."""

MOST_GRADIENT = 0.3
"""Largest norm of the gradient of a lesson in volumes; a larger one is scaled down to it. Without, single steps can undo what a network has
learned. Chosen with benchmarks/stacks.py, part lessons. Planes are left as they are: no such step was seen there."""

DRAWN_PACE, N_DRAWN_CROPS, DRAWN_SHARE = 0.25, 1, 0.6
"""The pace of a network that has learned from drawings, which forgets at that of others, the crops in its lessons, and its usual share.
Chosen in the same way."""

LEAST_LESSONS = 100
"""Number of lessons before which no image is kept. Chosen on the tuning images of benchmarks/quality.py: by then noise is taken off."""

LEAST_HALF = 4
"""Least number of pixels along a halved axis of the coarsest grid with which layers are computed in half precision: strided convolutions of
PyTorch 2.13 in bfloat16 read memory that is not theirs at widths of one and two, and such an image takes no time."""

BeginsWith = Literal["auto", "chance"]
"""What a network knows before its first lesson."""


class TaughtNetwork(ImageInput):
    r"""Members that learn to take noise off an estimate, and are shown the measurement.

    With g a member's guide, an estimate of the clean image, :math:`\sigma` the noise's level and w standard Gaussian noise that is new in
    each lesson, a lesson is a step of the optimizer on

    .. math:: \| f(g + \sigma w) - g \|^2

    for some crops of g, turned and mirrored at random. The member's image is f(y): what was learned from the structures of g is
    applied to the measurement, which still has those that g lacks. Its errors differ from those of g, so that a mixture of the two is
    better than either. Similar frames can share a network, which learns from the guides of all.

    f is a `napari_convgen.core.generators.denoiser.Denoiser`. Before the first lesson it may have learned from drawings, and needs few
    lessons then. Drawings have one channel, so of an image of several it is shown the principal components of g one by one, in units of the
    channels' noise: combinations of channels with equal, independent noise. Components that are fainter than it are left as g has them.
    Where the noise is correlated, so is w. Each image is computed in one orientation of the measurement, another at each
    step, and the running average is over all.

    Parameters
    ----------
    size
        Spatial shape of the image, 1 to 3 axes of any length.
    n_outputs
        Number of channels of the image.
    rngs
        Source of chance of each member, for its initial weights, crops and noise; on the CPU whatever the device.
    n_channels, n_fine_channels
        Number of channels on the coarser grids, and on the image's.
    n_scales
        Number of times that the grid is halved, see `napari_convgen.core.generators.grids`.
    n_lessons
        Number of lessons in a step of the fit.
    begins_with
        What the network knows before: ``"chance"`` for nothing, ``"auto"``, the default, for what was learned from drawings, see
        tools/teach.py, if the image suits them, see `suits_drawings`. Then the network has the size of theirs.
    features_dtype
        Type of the hidden layers, ``dtype`` by default.
    spacing
        Distance between neighboring pixels along each axis, in a common unit; ``None``, the default, if it is the same along all.
    dtype
        Type of the weights and the image; float32 by default.
    """

    is_capturable = False  # crops are drawn on the host
    has_lessons = True

    examples: Tensor
    guides: Tensor
    basis: Tensor
    center: Tensor
    unit: Tensor
    n_images: Tensor

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        rngs: Sequence[torch.Generator],
        n_channels: int = 32,
        n_fine_channels: int = 16,
        n_scales: int = 2,
        n_lessons: int = 10,
        begins_with: BeginsWith = "auto",
        features_dtype: torch.dtype | None = None,
        spacing: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.n_axes = len(size)
        self.is_drawn = is_drawn = begins_with != "chance" and suits_drawings(size, spacing)
        widths = DRAWN_WIDTHS if is_drawn else (n_fine_channels, *(n_channels,) * n_scales)
        grids = list(reversed(grid_sizes(size, len(widths) - 1, spacing)))
        halvings = [strides(coarse, fine) for fine, coarse in itertools.pairwise(grids)]
        self.blocks = tuple(math.prod(each) for each in zip(*halvings, strict=True)) or (1,) * len(size)
        self.crop_size = crop_size(size, self.blocks)
        self.can_turn = (
            len(size) > 1 and self.blocks[-1] == self.blocks[-2] and self.crop_size[-1] == self.crop_size[-2]
        )
        self.n_lessons, self.n_crops = n_lessons, N_CROPS
        if any(n < LEAST_HALF for n, block in zip(grids[-1], self.blocks, strict=True) if block > 1):
            features_dtype = dtype
        self.noises = nn.ModuleList(GaussianDraws(rng) for rng in rngs)
        self.networks = nn.ModuleList(
            Denoiser(
                1 if is_drawn else n_outputs,
                widths,
                halvings,
                Start(rng, dtype),
                features_dtype or dtype,
                n_axes=len(size),
                knows_level=is_drawn,
            )
            for rng in rngs
        )
        if is_drawn:
            self.pace, self.n_crops, self.usual_share = DRAWN_PACE, N_DRAWN_CROPS, DRAWN_SHARE
            for network in self._denoisers:
                network.load(DRAWN_WEIGHTS)
        column = (n_outputs, *(1,) * len(size))
        self.take_images((len(rngs), n_outputs, *size), dtype)
        self.register_buffer("examples", torch.zeros_like(self.inputs)[:, None], persistent=False)  # they stay
        self.register_buffer("guides", torch.zeros_like(self.inputs), persistent=False)
        self.register_buffer("basis", torch.eye(n_outputs, dtype=dtype), persistent=False)
        self.register_buffer("center", torch.zeros(column, dtype=dtype), persistent=False)
        self.register_buffer("unit", torch.ones(column, dtype=dtype), persistent=False)
        self.register_buffer("n_images", torch.zeros((), dtype=torch.int64))

    @classmethod
    def precisions(cls, backend: str) -> tuple[str, ...]:
        """Return the number formats of the hidden layers."""
        return ("float32", "bfloat16")

    @property
    def noise_size(self) -> Size:
        """Spatial shape of the noise in a lesson: that of a crop."""
        return self.crop_size

    def guide(self, guides: Float[Tensor, "m c *spatial"], noise_level: Float[Tensor, "c"] | None = None) -> None:
        """Take estimates of the clean image, to be shown where the measurement is not known, and to learn from."""
        self.inputs.copy_(torch.where(self.is_known, self.inputs, guides))
        self.guides = guides
        self.learn_from(guides[:, None])

    def learn_from(self, examples: Float[Tensor, "m n c *spatial"]) -> None:
        """Take estimates of several clean images to learn from, in the place of the guides."""
        self.examples = examples
        if self.has_components:
            self.basis.copy_(principal_basis(examples / self.noise_level, self.n_axes))
        components = self._components(examples)
        over = (0, 1, *range(3, examples.ndim))
        self.center.copy_(components.mean(over).view_as(self.center))
        self.unit.copy_(components.std(over, correction=0).view_as(self.unit) + self._component_noise)

    def learned(self) -> dict[str, Tensor]:
        """Return what was learned, for `begin_learned` of another network for images of the same shape; no copies."""
        return {**dict(self.named_parameters()), "basis": self.basis, "center": self.center, "unit": self.unit}

    def begin_learned(self, learned: Mapping[str, Tensor]) -> None:
        """Begin with what another network has learned, without further lessons."""
        self.n_lessons = 0
        own = self.learned()
        with torch.no_grad():
            for name, value in learned.items():
                own[name].copy_(value)

    def learn(self, member: int) -> None:
        """Give a member its next lesson: its parameters get the gradient of the loss, of limited size in volumes."""
        self.lesson_loss(member).backward()
        if self.n_axes == len("ZYX"):
            nn.utils.clip_grad_norm_(self.networks[member].parameters(), MOST_GRADIENT)

    def lesson_loss(self, member: int) -> Float[Tensor, ""]:
        """Return a member's mean squared error on fresh crops of its examples, in units of their deviation and the noise."""
        rng: Any = self.noises[member]
        crops, turns = zip(*(self._crop(self.examples[member], rng) for _ in range(self.n_crops)), strict=True)
        clean = torch.stack(crops)
        noise = [self._noise_like_measured(white, turn) for white, turn in zip(rng(clean), turns, strict=True)]
        part = self._part(rng)
        noisy, wanted = (self._scaled(images)[:, part] for images in (clean + torch.stack(noise), clean))
        error: Tensor = self.networks[member](noisy, self._level(part)) - wanted
        return error.square().mean()

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return the members' images, computed in the next orientation: output channels first."""
        turn = int(self.n_images) % self.n_orientations
        self.n_images += 1
        scaled = turned(self._scaled(self.inputs), turn, self.n_axes)
        images, has_gradient, parts = list(scaled), torch.is_grad_enabled(), self._parts()

        def draw(member: int) -> None:
            network, image = self.networks[member], scaled[member, None]
            with torch.set_grad_enabled(has_gradient):
                images[member] = torch.cat([network(image[:, part], self._level(part))[0] for part in parts])

        for_each_member(draw, len(images), scaled.device)
        shown = turned_back(torch.stack(images), turn, self.n_axes)
        n_shown = shown.shape[1]
        shown = shown * self.unit[:n_shown] + self.center[:n_shown]
        if not self.has_components:
            return shown
        faint = self._components(self.guides)[:, n_shown:]
        return self._channels(torch.cat((shown, faint), 1))

    @property
    def is_settled(self) -> bool:
        """True once there were `LEAST_LESSONS`: before, the images are nearly the measurement, noise and all."""
        return not self.n_lessons or int(self.n_images) * self.n_lessons >= LEAST_LESSONS

    @property
    def n_orientations(self) -> int:
        """Number of ways to turn and mirror the image."""
        return 1 << (self.n_axes + self.can_turn)

    @property
    def _denoisers(self) -> list[Denoiser]:
        return cast("list[Denoiser]", list(self.networks))

    @property
    def has_components(self) -> bool:
        """True if the networks are shown combinations of channels, one by one."""
        return self.is_drawn and len(self.basis) > 1

    def _level(self, part: slice) -> Tensor:
        """Return the standard deviation of the noise in units of the networks' inputs; it is asked for with one channel alone."""
        return (self._component_noise / self.unit)[None, part][:, :1]

    @property
    def _component_noise(self) -> Tensor:
        """Standard deviation of the noise of each channel, or of all components."""
        return self.noise_level.mean() if self.has_components else self.noise_level

    def _components(self, images: Float[Tensor, "*b c *spatial"]) -> Float[Tensor, "*b c *spatial"]:
        """Return what the networks see of images, not scaled: channels, or their combinations."""
        if not self.has_components:
            return images
        return combined(self.basis, images * (self._component_noise / self.noise_level), self.n_axes)

    def _channels(self, components: Float[Tensor, "*b c *spatial"]) -> Float[Tensor, "*b c *spatial"]:
        """Take back what `_components` does."""
        return combined(self.basis.T, components, self.n_axes) * (self.noise_level / self._component_noise)

    def _scaled(self, images: Float[Tensor, "b c *spatial"]) -> Float[Tensor, "b c *spatial"]:
        """Return the networks' inputs."""
        return (self._components(images) - self.center) / self.unit

    def _parts(self) -> list[slice]:
        """Return which channels a network sees at once: all, or one component after another that is not fainter than the noise."""
        if not self.is_drawn:
            return [slice(None)]
        n_shown = int((self.unit >= 2 * self._component_noise).sum())
        return [slice(i, i + 1) for i in range(max(1, n_shown))]

    def _part(self, rng: GaussianDraws) -> slice:
        """Return what a lesson is about: a component by chance, the more often the stronger it is."""
        parts = self._parts()
        if len(parts) == 1:
            return parts[0]
        [draw] = rng.integers(self.unit.new_empty(1), torch.int32).long().abs().tolist()
        ends = (self.unit - self._component_noise)[: len(parts)].flatten().cumsum(0)
        return parts[int((ends < draw / 2**31 * ends[-1]).sum())]

    def dead_fraction(self) -> float:
        """Return the largest share, over members, of channels of the last hidden layer that are the same at every pixel.

        Layers on coarser grids may fall silent without harm, as skip connections go around them.
        """
        parts = self._parts()
        with torch.no_grad():
            scaled = self._scaled(self.inputs)[:, None]
            last = [
                torch.cat([net.features(x[:, part], self._level(part)).flatten(2) for part in parts], 2)
                for net, x in zip(self._denoisers, scaled, strict=True)
            ]
        return max(float((x.amax(2) == x.amin(2)).float().mean()) for x in last)

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        """Return the convolution weights of each layer, down from the image's grid and up again, one tensor a member."""
        *hidden, output = zip(*(network.weights() for network in self._denoisers), strict=True)
        return named_layers(hidden, output)

    def _crop(
        self, examples: Float[Tensor, "n c *spatial"], noise: GaussianDraws
    ) -> tuple[Float[Tensor, "c *crop"], int]:
        """Return a crop of an example, at a place and in an orientation by chance, and the number of the orientation."""
        *draws, turn, which = noise.integers(examples.new_empty(self.n_axes + 2), torch.int32).long().abs().tolist()
        size, turn = examples.shape[2:], turn % self.n_orientations
        places = [draw % (n - side + 1) for draw, n, side in zip(draws, size, self.crop_size, strict=True)]
        within = (slice(i, i + side) for i, side in zip(places, self.crop_size, strict=True))
        crop = examples[which % len(examples)][:, *within]
        return turned(crop, turn, self.n_axes), turn

    def _noise_like_measured(self, white: Float[Tensor, "c *crop"], turn: int) -> Float[Tensor, "c *crop"]:
        """Give white noise of a crop in an orientation what the measurement's has there, which may be correlated along one axis alone."""
        [noise] = self.as_measured(turned_back(white[None], turn, self.n_axes))
        return turned(noise, turn, self.n_axes)


def suits_drawings(size: Sequence[int], spacing: Sequence[float] | None = None) -> bool:
    """Return True for a plane whose axes can be halved alike: what was learned from drawings is for such images."""
    grids = grid_sizes(size, len(DRAWN_WIDTHS) - 1, spacing)
    is_halved = all(strides(coarse, fine) == (2, 2) for coarse, fine in itertools.pairwise(grids))
    return is_halved and min(grids[0]) >= LEAST_HALF


def crop_size(size: Sequence[int], blocks: Sequence[int]) -> Size:
    """Return the size of a crop: about `CROP_PIXELS` pixels, as long along each axis as the image allows, in whole blocks."""
    sides, left = list(size), float(CROP_PIXELS)
    order = sorted(range(len(size)), key=lambda axis: size[axis])
    for position, axis in enumerate(order):
        even = left ** (1 / (len(order) - position))
        sides[axis] = min(size[axis], round(even))
        left /= min(size[axis], even)
    # A single block would be one pixel on the coarsest grid, from which nothing is learned, and where strided convolutions of PyTorch 2.13
    # in bfloat16 read memory that is not theirs: such a narrow image is taken whole, and enlarged to whole blocks.
    return tuple(
        side // block * block if side >= 2 * block else n for n, side, block in zip(size, sides, blocks, strict=True)
    )


def memory_bytes(
    size: Sequence[int],
    n_outputs: int,
    *,
    n_members: int,
    n_channels: int,
    n_fine_channels: int,
    n_scales: int,
    begins_with: BeginsWith,
    itemsize: int = FLOAT_BYTES,
    spacing: Sequence[float] | None = None,
    **_: Any,
) -> int:
    """Return about how many bytes a step of a fit takes at its peak: that of the members' images, drawn at once, as crops are small."""
    pixels, n_axes = math.prod(size), len(size)
    if begins_with != "chance" and suits_drawings(size, spacing):
        n_fine_channels, n_channels, *_coarser = DRAWN_WIDTHS
        n_scales = len(DRAWN_WIDTHS) - 1
    features = n_members * itemsize * pixels * (3 * n_fine_channels + 2 * n_channels)
    images = FLOAT_BYTES * pixels * N_IMAGES * n_outputs * n_members
    wide = max(n_channels, n_fine_channels)
    weights = FLOAT_BYTES * N_WEIGHT_COPIES * n_members * WIDTH**n_axes * wide**2 * (4 * n_scales + 2)
    return int(features + images + weights)


def turned(images: Shaped[Tensor, "*b"], turn: int, n_axes: int) -> Tensor:
    """Return images in another orientation.

    Parameters
    ----------
    images
        Images whose last ``n_axes`` axes are spatial.
    turn
        Number of the orientation: its lowest bits tell which axes to mirror, the last axis first; the next whether to swap the last two.
    n_axes
        Number of spatial axes.
    """
    mirrored = images.flip([-1 - i for i in range(n_axes) if turn >> i & 1])
    return mirrored.transpose(-1, -2) if turn >> n_axes & 1 else mirrored


def turned_back(images: Shaped[Tensor, "*b"], turn: int, n_axes: int) -> Tensor:
    """Take back what `turned` does."""
    images = images.transpose(-1, -2) if turn >> n_axes & 1 else images
    return images.flip([-1 - i for i in range(n_axes) if turn >> i & 1])
