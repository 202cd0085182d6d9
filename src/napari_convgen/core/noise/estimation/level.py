"""Where noise is stronger: in corners, in the depth, in a quadrant of a camera, in the middle of a scan by coils, in tiles of a mosaic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise, product

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.curve import BELOW_WEIGHT, CAUCHY_SCALE, FLAT_SHARES
from napari_convgen.core.noise.estimation.impulses import MAD_TO_SIGMA
from napari_convgen.core.noise.estimation.tiles import NO_BORDERS, Borders, find_borders, is_of_tile
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

MOST_LEFT_OF_TILES, LEAST_COVERED_OF_TILES = 0.25, 0.3
"""The same for a level of each tile of a mosaic, which has more coefficients, and the least share of the cells that show noise."""

CLEARLY_LESS = 0.8
"""Largest ratio of what tiles leave to what another form leaves with which tiles are taken. Our choice, no benchmark."""

MOST_CELLS_OF_TILE = 4
"""Largest number of cells along a side of a tile, even; the least is 2."""

N_ROUNDS, LEAST_SCALE = 20, 0.02
"""Rounds of the robust fit, and the least scale of its distances."""


@dataclass(frozen=True)
class LevelMap:
    """How many times stronger the noise is than where it is weakest.

    Attributes
    ----------
    coefficients
        Coefficients of the level's logarithm, see `FORMS`: of one of these, and 0 for the others. Then, of a mosaic, those of its tiles.
    centers
        Stabilized value of each channel that stays as it is when the noise is leveled.
    ratio
        Level where it is largest.
    borders
        Borders between the tiles of a mosaic; none, the default, if it is no mosaic.
    """

    coefficients: tuple[float, ...]
    centers: tuple[float, ...]
    ratio: float
    borders: Borders = NO_BORDERS

    def at(self, shape: Sequence[int]) -> Float[np.ndarray, "*spatial"]:
        """Return the level at each pixel of an image of this spatial shape, 1 where it is least."""
        logarithm = _logarithm(self.coefficients, shape, self.borders)
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
    best, tiles = (answer(stable, is_observed, stabilizers) for answer in (_of_forms, _of_tiles))
    if best is None or (tiles is not None and tiles.fit.left < CLEARLY_LESS * best.fit.left):
        best = tiles
    if best is None:
        return None
    logarithm = _logarithm(best.coefficients, values.shape[1:], best.borders)
    centers = tuple(float(np.median(x[seen])) for x, seen in zip(stable, is_observed, strict=True))
    level_map = LevelMap(best.coefficients, centers, float(np.exp(np.ptp(logarithm))), best.borders)
    return FoundLevel(level_map, float(np.exp(best.fit.constant + logarithm.min())), best.fit.left)


def _of_forms(
    stable: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    stabilizers: Sequence[Stabilizer],
) -> _Answer | None:
    """Return the one of `FORMS` that explains the levels best; ``None`` if it does not explain enough."""
    cells = _Cells.of(stable, is_observed, stabilizers)
    if cells is None or not cells.cover_image:
        return None
    places = list(cells.places[cells.is_noise].T)
    fits = [_fit(columns(places), cells) for columns in FORMS]
    best = min(fits, key=lambda fit: fit.left)
    coefficients = tuple(number if fit is best else 0.0 for fit in fits for number in fit.coefficients)
    return _Answer(best, coefficients) if _explains(best, cells, MOST_LEFT) else None


def _of_tiles(
    stable: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    stabilizers: Sequence[Stabilizer],
) -> _Answer | None:
    """Return the levels of the tiles of a mosaic; ``None`` if it is none. A tile that is all texture has the least level of its cells."""
    borders = find_borders(stable, is_observed) if stable.ndim > 2 else NO_BORDERS
    cells = _Cells.of(stable, is_observed, stabilizers, borders) if any(borders) else None
    if cells is None or cells.is_noise.mean() < LEAST_COVERED_OF_TILES:
        return None
    tiles = _tiles(list(cells.places.T), borders)
    fit = _fit([tile[cells.is_noise] for tile in tiles], cells)
    levels = []
    for tile, coefficient in zip(tiles, fit.coefficients, strict=True):
        own = cells.upper[tile > 0]
        is_textured = not (cells.is_noise & (tile > 0)).any() and np.isfinite(own).any()
        levels.append(float(np.nanmin(own)) - fit.constant if is_textured else coefficient)
    coefficients = (0.0,) * _n_coefficients(stable.ndim - 1) + tuple(levels)
    return _Answer(fit, coefficients, borders) if _explains(fit, cells, MOST_LEFT_OF_TILES) else None


def _explains(fit: _Fit, cells: _Cells, most_left: float) -> bool:
    """Return True if a fit explains nearly all differences between cells, much better than their brightness does."""
    by_brightness = _fit([cells.mean, cells.mean**2], cells)
    return fit.spread >= LEAST_SPREAD and fit.left <= most_left * min(fit.spread, by_brightness.left)


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


def _n_coefficients(n_axes: int) -> int:
    """Return the number of coefficients of all `FORMS` of an image with ``n_axes`` spatial axes."""
    return sum(len(form([np.zeros(1)] * n_axes)) for form in FORMS)


def _tiles(places: Sequence[Float[np.ndarray, "..."]], borders: Borders) -> list[Float[np.ndarray, "..."]]:
    """Return 1 in each tile of a mosaic, and 0 elsewhere; nothing of an image that is none."""
    rows, columns = (is_of_tile(place, ends) for place, ends in zip(places[-2:], borders, strict=True))
    return [1.0 * (row & column) for row, column in product(rows, columns)] if any(borders) else []


def _logarithm(
    coefficients: Sequence[float], shape: Sequence[int], borders: Borders = NO_BORDERS
) -> Float[np.ndarray, "*spatial"]:
    places = np.meshgrid(*((2 * np.arange(n) + 1) / n - 1 for n in shape), indexing="ij", sparse=True)
    columns = [*(column for form in FORMS for column in form(places)), *_tiles(places, borders)]
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
    upper
        Logarithm of the level that the noise of each cell has at most, relative to the model's; NaN where there is nothing to measure.
    is_noise
        True for cells that show white noise and no texture, whose level this is.
    logarithm, mean
        Logarithm of the level of these, and mean stabilized value.
    """

    places: Float[np.ndarray, "n axes"]
    upper: Float[np.ndarray, "n"]
    is_noise: Bool[np.ndarray, "n"]
    logarithm: Float[np.ndarray, "k"]
    mean: Float[np.ndarray, "k"]

    @classmethod
    def of(
        cls,
        stable: Float[np.ndarray, "c *spatial"],
        is_observed: Bool[np.ndarray, "c *spatial"],
        stabilizers: Sequence[Stabilizer],
        borders: Borders = NO_BORDERS,
    ) -> _Cells | None:
        """Measure the stabilized channels that have noise; ``None`` if an axis is too short, or there is only one.

        Borders are those of tiles, each of which has cells of its own.
        """
        shape = stable.shape[1:]
        n_most = MOST_CELLS if len(shape) == 2 else LEAST_CELLS
        sides = [(1, MOST_PLANES)] * (len(shape) - 2) + [(LEAST_SIDE, MOST_SIDE)] * 2
        if len(shape) < 2 or any(n < LEAST_CELLS * least for n, (least, _) in zip(shape, sides, strict=True)):
            return None
        ends = [()] * (len(shape) - 2) + list(borders)
        most = [n_most if not each else MOST_CELLS_OF_TILE for each in ends]
        axes = [list(_parts(*each)) for each in zip(shape, ends, most, sides, strict=True)]
        places, measured = [], []
        for parts in product(*axes):
            places.append([place for place, _ in parts])
            cell = tuple(part for _, part in parts)
            channels = zip(stable, is_observed, stabilizers, strict=True)
            noisy = [(x[cell], seen[cell], each) for x, seen, each in channels if each.noise_level > 0]
            measured.append([_measure(*each) for each in noisy])
        numbers = np.array(measured).mean(1)
        is_noise = np.isfinite(numbers).all(1)
        return cls(np.array(places), numbers[:, 0], is_noise, *numbers[is_noise].T)

    @property
    def cover_image(self) -> bool:
        """True if enough of the cells show noise, in all quadrants."""
        quadrant = (self.places[:, -2:] > 0) @ np.array([2, 1])
        least = min(self.is_noise[quadrant == each].mean() for each in range(4))
        return bool(self.is_noise.mean() >= LEAST_COVERED and least >= LEAST_OF_QUADRANT)


def _parts(n: int, borders: Sequence[float], n_most: int, sides: tuple[int, int]) -> Iterator[tuple[float, slice]]:
    """Yield the middle of each cell along an axis of ``n`` pixels, from -1 to 1, and its middle part.

    An even number of cells, at most ``n_most``, fills the axis, or each tile between borders. Sides are the least of a cell, and that of
    the largest part.
    """
    least, most = sides
    for first, last in pairwise((0, *(round(border * n) for border in borders), n)):
        n_cells = min(n_most, (last - first) // least) // 2 * 2
        for number in range(n_cells):
            start, stop = (first + (number + i) * (last - first) // n_cells for i in (0, 1))
            cut = max(0, stop - start - most)
            yield (start + stop) / n - 1, slice(start + cut // 2, stop - (cut + 1) // 2)


def _measure(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], stabilizer: Stabilizer
) -> tuple[float, float]:
    """Return the logarithm of the level that a cell's noise has at most, relative to the model's, and the mean, NaN if there is texture."""
    blocks = Blocks.of(values, is_observed)
    if len(blocks) * blocks.weight < N_LEAST:
        return np.nan, np.nan
    n = max(1, int(SLOW_SHARE * len(blocks)))
    slowest = np.argpartition(blocks.slow, n - 1)[:n]
    variance, flat = flat_variance(blocks, FLAT_SHARES)
    mean = float(blocks.mean[flat].mean())
    expected = float(stabilizer.noise_variance(np.array([mean]))[0])
    is_red = blocks.middle[slowest].mean() > MOST_RED * blocks.fine[slowest].mean()
    if not variance > LEAST_VARIANCE * expected > 0:
        return np.nan, np.nan
    return 0.5 * float(np.log(variance / expected)), np.nan if is_red else mean


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


@dataclass(frozen=True)
class _Answer:
    """What explains the cells' levels.

    Attributes
    ----------
    fit
        Fit of the columns that do.
    coefficients, borders
        Attributes of the `LevelMap`.
    """

    fit: _Fit
    coefficients: tuple[float, ...]
    borders: Borders = NO_BORDERS


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
