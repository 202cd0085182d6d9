"""Where noise is stronger: in the corners of a field, in the depth, in a quadrant of a camera, in the middle of a scan by several coils."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.curve import BELOW_WEIGHT, CAUCHY_SCALE, FLAT_SHARES
from napari_convgen.core.noise.estimation.impulses import MAD_TO_SIGMA
from napari_convgen.core.noise.estimation.variance import flat_variance
from napari_convgen.core.noise.stabilizer import Stabilizer

LEAST_CELLS, MOST_CELLS = 4, 6
"""Number of cells along an axis, even: enough for a parabola, and few for speed. A volume has the least."""

LEAST_SIDE, MOST_SIDE, MOST_PLANES = 24, 40, 2
"""Least side of a cell along the last two axes, in pixels, and the part in its middle that is looked at: 14 to 37 independent blocks.
Our choice, no benchmark."""

N_LEAST = 6.0
"""Least number of independent blocks in a cell. Our choice, no benchmark."""

SLOW_SHARE, MOST_RED = 0.3, 1.5
"""Share of a cell's blocks, those with the least energy in the very lowest frequencies, and the largest energy there in lower frequencies
over that in higher ones that white noise has; texture has more. Chosen with benchmarks/noise.py: of most without noise no cell is left."""

LEAST_VARIANCE = 1e-3
"""Least variance of a cell, relative to that of the model: the noise of one with less was cut off."""

LEAST_COVERED, LEAST_OF_QUADRANT = 0.5, 0.3
"""Least share of the cells that show noise, in the image and in each of its quadrants. Our choice, no benchmark."""

LEAST_SPREAD = 0.1
"""Least standard deviation of the level's logarithm over the cells: less makes no difference to a result. Our choice, no benchmark."""

MOST_LEFT = 0.6
"""Largest root of the mean square that a map leaves, relative to its own spread, and to what the brightness of the cells leaves.
Chosen with benchmarks/noise.py, so that no image is wrongly taken for one whose noise differs between places."""

N_ROUNDS, LEAST_SCALE = 20, 0.02
"""Rounds of the robust fit, and the least scale of its distances."""


@dataclass(frozen=True)
class LevelMap:
    """How many times stronger the noise is than where it is weakest.

    Attributes
    ----------
    coefficients
        Coefficients of the level's logarithm, see `FORMS`: of one of these, and 0 for the others.
    centers
        Stabilized value of each channel that stays as it is when the noise is leveled.
    ratio
        Level where it is largest.
    """

    coefficients: tuple[float, ...]
    centers: tuple[float, ...]
    ratio: float

    def at(self, shape: Sequence[int]) -> Float[np.ndarray, "*spatial"]:
        """Return the level at each pixel of an image of this spatial shape, 1 where it is least."""
        logarithm = _logarithm(self.coefficients, shape)
        return np.asarray(np.exp(logarithm - logarithm.min()))


@dataclass(frozen=True)
class FoundLevel:
    """What was found of the level of an image's noise.

    Attributes
    ----------
    level_map
        Level at each place.
    least
        Least level, relative to that of the model of the noise.
    left
        Root of the mean square of the level's logarithm that the map leaves.
    """

    level_map: LevelMap
    least: float
    left: float


def level_noise(
    stabilizers: Sequence[Stabilizer], level_map: LevelMap | None, shape: Sequence[int]
) -> tuple[Stabilizer, ...]:
    """Return transforms after which the noise is the same at all places, too.

    Parameters
    ----------
    stabilizers
        Transform of each channel after which the noise is the same at all intensities.
    level_map
        Level at each place; ``None`` if it is the same at all.
    shape
        Spatial shape of the image.
    """
    if level_map is None:
        return tuple(stabilizers)
    level = level_map.at(shape)
    return tuple(each.leveled(level, center) for each, center in zip(stabilizers, level_map.centers, strict=True))


def find_level_map(
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    stabilizers: Sequence[Stabilizer],
) -> FoundLevel | None:
    """Return where white noise is stronger; ``None`` if it is the same everywhere.

    The noise is measured in cells all over the image, relative to what the model says for their brightness. Cells that show texture are
    left out: it has more energy in lower than in higher frequencies. A parabola over the axes, a level for each quadrant or a bump in the
    middle must explain nearly all differences between cells, much better than their brightness does.

    Parameters
    ----------
    values
        Noisy values, channels first.
    is_observed
        False where a value is missing.
    stabilizers
        Transform of each channel after which the noise is the same at all intensities.
    """
    stable = np.stack([each.forward(x) for each, x in zip(stabilizers, values, strict=True)])
    cells = _Cells.of(stable, is_observed, stabilizers)
    if cells is None or not cells.cover_image:
        return None
    places = list(cells.places[cells.is_noise].T)
    fits = [_fit(columns(places), cells) for columns in FORMS]
    by_brightness = _fit([cells.mean, cells.mean**2], cells)
    best = min(fits, key=lambda fit: fit.left)
    if best.spread < LEAST_SPREAD or best.left > MOST_LEFT * min(best.spread, by_brightness.left):
        return None
    coefficients = tuple(number if fit is best else 0.0 for fit in fits for number in fit.coefficients)
    logarithm = _logarithm(coefficients, values.shape[1:])
    centers = tuple(float(np.median(x[seen])) for x, seen in zip(stable, is_observed, strict=True))
    level_map = LevelMap(coefficients, centers, float(np.exp(np.ptp(logarithm))))
    return FoundLevel(level_map, float(np.exp(best.constant + logarithm.min())), best.left)


def _parabola(places: Sequence[Float[np.ndarray, "..."]]) -> list[Float[np.ndarray, "..."]]:
    """Return the coordinates along each axis, and the products of two."""
    return [*places, *(one * other for one, other in combinations_with_replacement(places, 2))]


def _quadrants(places: Sequence[Float[np.ndarray, "..."]]) -> list[Float[np.ndarray, "..."]]:
    """Return -1 and 1 in the halves along each of the last two axes, and the product."""
    rows, columns = (np.where(place < 0, -1.0, 1.0) for place in places[-2:])
    return [rows, columns, rows * columns]


def _bump(places: Sequence[Float[np.ndarray, "..."]]) -> list[Float[np.ndarray, "..."]]:
    """Return a wave from border to border along each of the last two axes, highest in the middle, and the product."""
    rows, columns = (np.cos(np.pi * place) for place in places[-2:])
    return [rows, columns, rows * columns]


FORMS: Sequence[Callable[..., list[Float[np.ndarray, "..."]]]] = (_parabola, _quadrants, _bump)
"""Functions from coordinates along each axis, from -1 to 1, to columns whose sum, with coefficients, is the logarithm of the level."""


def _logarithm(coefficients: Sequence[float], shape: Sequence[int]) -> Float[np.ndarray, "*spatial"]:
    places = np.meshgrid(*((2 * np.arange(n) + 1) / n - 1 for n in shape), indexing="ij", sparse=True)
    columns = [column for form in FORMS for column in form(places)]
    total = np.zeros(tuple(shape))
    for coefficient, column in zip(coefficients, columns, strict=True):
        total += coefficient * column
    return total


@dataclass(frozen=True, eq=False)
class _Cells:
    """What is measured in cells that cover an image, as means over the channels.

    Attributes
    ----------
    places
        Middle of each cell along each spatial axis, from -1 to 1.
    is_noise
        True for cells that show white noise.
    logarithm, mean
        Logarithm of the noise's level in these, relative to the model's, and mean stabilized value.
    """

    places: Float[np.ndarray, "n axes"]
    is_noise: Bool[np.ndarray, "n"]
    logarithm: Float[np.ndarray, "k"]
    mean: Float[np.ndarray, "k"]

    @classmethod
    def of(
        cls,
        stable: Float[np.ndarray, "c *spatial"],
        is_observed: Bool[np.ndarray, "c *spatial"],
        stabilizers: Sequence[Stabilizer],
    ) -> _Cells | None:
        """Measure the stabilized channels that have noise; ``None`` if an axis is too short, or there is only one."""
        shape = stable.shape[1:]
        n_most = MOST_CELLS if len(shape) == 2 else LEAST_CELLS
        sides = [(1, MOST_PLANES)] * (len(shape) - 2) + [(LEAST_SIDE, MOST_SIDE)] * 2
        if len(shape) < 2 or any(n < LEAST_CELLS * least for n, (least, _) in zip(shape, sides, strict=True)):
            return None
        counts = [min(n_most, n // least) // 2 * 2 for n, (least, _) in zip(shape, sides, strict=True)]
        axes = [list(_parts(n, count, most)) for n, count, (_, most) in zip(shape, counts, sides, strict=True)]
        places, measured = [], []
        for parts in product(*axes):
            places.append([place for place, _ in parts])
            cell = tuple(part for _, part in parts)
            channels = zip(stable, is_observed, stabilizers, strict=True)
            noisy = [(x[cell], seen[cell], each) for x, seen, each in channels if each.noise_level > 0]
            measured.append([_measure(*each) for each in noisy])
        numbers = np.array(measured)
        is_noise = np.isfinite(numbers).all((1, 2))
        return cls(np.array(places), is_noise, *numbers[is_noise].mean(1).T)

    @property
    def cover_image(self) -> bool:
        """True if enough of the cells show noise, in all quadrants."""
        quadrant = (self.places[:, -2:] > 0) @ np.array([2, 1])
        least = min(self.is_noise[quadrant == each].mean() for each in range(4))
        return bool(self.is_noise.mean() >= LEAST_COVERED and least >= LEAST_OF_QUADRANT)


def _parts(n: int, n_cells: int, most: int) -> Iterator[tuple[float, slice]]:
    """Yield the middle of each cell along an axis of ``n`` pixels, from -1 to 1, and its middle part of at most ``most`` pixels."""
    for number in range(n_cells):
        start, stop = number * n // n_cells, (number + 1) * n // n_cells
        cut = max(0, stop - start - most)
        yield (start + stop) / n - 1, slice(start + cut // 2, stop - (cut + 1) // 2)


def _measure(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], stabilizer: Stabilizer
) -> tuple[float, float]:
    """Return the logarithm of the noise's level in a cell, relative to the model's, and the mean; NaN where no white noise shows."""
    blocks = Blocks.of(values, is_observed)
    if len(blocks) * blocks.weight < N_LEAST:
        return np.nan, np.nan
    n = max(1, int(SLOW_SHARE * len(blocks)))
    slowest = np.argpartition(blocks.slow, n - 1)[:n]
    variance, flat = flat_variance(blocks, FLAT_SHARES)
    mean = float(blocks.mean[flat].mean())
    expected = float(stabilizer.noise_variance(np.array([mean]))[0])
    is_red = blocks.middle[slowest].mean() > MOST_RED * blocks.fine[slowest].mean()
    if is_red or not variance > LEAST_VARIANCE * expected > 0:
        return np.nan, np.nan
    return 0.5 * float(np.log(variance / expected)), mean


@dataclass(frozen=True)
class _Fit:
    """A constant and coefficients of columns that explain the cells' levels.

    Attributes
    ----------
    constant, coefficients
        The numbers.
    spread, left
        Standard deviation of what is explained over the cells, and root of the mean square of what is left.
    """

    constant: float
    coefficients: tuple[float, ...]
    spread: float
    left: float


def _fit(columns: Sequence[Float[np.ndarray, "k"]], cells: _Cells) -> _Fit:
    """Fit columns to the levels of the cells; those above the fit, which have texture, count less."""
    matrix = np.stack([np.ones_like(cells.mean), *columns], 1)
    weights = np.ones(len(matrix))
    for _ in range(N_ROUNDS):
        root = np.sqrt(weights)
        answer = np.linalg.lstsq(matrix * root[:, np.newaxis], cells.logarithm * root, rcond=None)[0]
        off = cells.logarithm - matrix @ answer
        distance = off / (CAUCHY_SCALE * max(LEAST_SCALE, MAD_TO_SIGMA * float(np.median(np.abs(off)))))
        weights = 1 / (1 + np.where(off > 0, 1, BELOW_WEIGHT) * distance**2)
    constant, *coefficients = answer.tolist()
    return _Fit(constant, tuple(coefficients), float((matrix @ answer).std()), float(np.sqrt(np.mean(off**2))))
