"""Drawings by formula, from which a network learns how to take noise off: shapes, lines, cells, spots and textures.

References
----------
Achddou, Gousseau and Ladjal, "Synthetic images as a regularity prior for image restoration neural networks", SSVM 2021, for networks that
learn from leaves that fell on each other.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import ndimage

SIDE = 192
"""Pixels along a side of a drawing."""

Drawing = Float[np.ndarray, "y x"]


def draw(number: int) -> Drawing:
    """Return a drawing by its number, with a mean of 0 and a standard deviation of 1."""
    rng = np.random.default_rng(number)
    while True:
        drawing = _composed(rng)
        if rng.random() < 0.5:
            drawing = ndimage.gaussian_filter(drawing, rng.uniform(0.3, 1.6))
        if rng.random() < 0.3:
            drawing = drawing * (1 + 0.3 * _smooth_field(rng, SIDE / 6))
        if rng.random() < 0.3:
            drawing = np.sqrt(drawing - drawing.min())
        drawing = drawing - drawing.mean()
        deviation = drawing.std()
        if deviation > 1e-6:
            return drawing / deviation


def _composed(rng: np.random.Generator) -> Drawing:
    """Return a drawing of one kind, or of some on top of each other."""
    kind = rng.random()
    if kind < 0.3:
        return _shapes(rng)
    if kind < 0.45:
        return _lines(rng) + rng.uniform(0, 0.7) * _cells(rng)
    if kind < 0.6:
        return _cells(rng) + (rng.uniform(0, 1) * _spots(rng) if rng.random() < 0.5 else 0)
    if kind < 0.7:
        return _spots(rng) + rng.uniform(0, 0.3) * np.abs(_texture(rng))
    if kind < 0.8:
        return _texture(rng)
    drawing = _shapes(rng) * rng.uniform(0.3, 1) + rng.uniform(0, 0.4) * _texture(rng) * _shapes(rng)
    return drawing + _lines(rng) if rng.random() < 0.3 else drawing


def _texture(rng: np.random.Generator) -> Drawing:
    """Return a random field: without a scale, of rings in its spectrum, smooth, or of stripes; stretched along some direction."""
    frequencies = np.fft.fftfreq(SIDE)
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 1.5))
    y, x = frequencies[:, None], frequencies[None, :]
    along = (np.cos(angle) * x + np.sin(angle) * y) * stretch
    across = (np.cos(angle) * y - np.sin(angle) * x) / stretch
    radius = np.hypot(along, across)
    kind = rng.integers(4)
    if kind == 0:
        gain = np.maximum(radius, 1 / SIDE) ** -rng.uniform(0.8, 2.5)
    elif kind == 1:
        center = np.exp(rng.uniform(np.log(0.02), np.log(0.4)))
        gain = np.exp(-0.5 * ((radius - center) / (center * rng.uniform(0.1, 0.5))) ** 2)
    elif kind == 2:
        gain = np.exp(-0.5 * (radius / np.exp(rng.uniform(np.log(0.01), np.log(0.25)))) ** 2)
    else:
        center = np.exp(rng.uniform(np.log(0.03), np.log(0.4)))
        gain = np.exp(-0.5 * ((np.abs(along) - center) / (0.05 * center + 0.01)) ** 2 - 0.5 * (across / 0.02) ** 2)
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * gain).real
    field = (field - field.mean()) / (field.std() + 1e-9)
    return np.sign(field) * np.abs(field) ** rng.uniform(0.3, 2) if rng.random() < 0.3 else field


def _shapes(rng: np.random.Generator) -> Drawing:
    """Return disks, boxes and flowers that hide each other, of sizes by a power law; flat, shaded or with texture."""
    drawing = np.full((SIDE, SIDE), rng.random())
    power = 1 - rng.uniform(1.5, 3.2)
    least, most = np.exp(rng.uniform(0, np.log(8))), SIDE * rng.uniform(0.1, 0.7)
    n_shapes = int(np.exp(rng.uniform(np.log(30), np.log(900))))
    outline = rng.choice(["disk", "box", "flower"], p=[0.5, 0.3, 0.2])
    is_flat = rng.random() < 0.5
    textures = [_texture(rng) for _ in range(3)]
    sizes = (least**power + rng.random(n_shapes) * (most**power - least**power)) ** (1 / power)
    for size in sizes if rng.random() < 0.5 else np.sort(sizes)[::-1]:
        y, x = rng.uniform(-size / 2, SIDE + size / 2, 2)
        stretch, angle = np.exp(rng.uniform(-1, 1)) ** 0.5, rng.uniform(0, np.pi)
        top, bottom, left, right = np.clip(
            [y - 2 * size - 1, y + 2 * size + 2, x - 2 * size - 1, x + 2 * size + 2], 0, SIDE
        ).astype(int)
        if bottom <= top or right <= left:
            continue
        place = np.s_[top:bottom, left:right]
        dy, dx = np.arange(top, bottom)[:, None] - y, np.arange(left, right)[None, :] - x
        u = (np.cos(angle) * dx + np.sin(angle) * dy) * stretch
        v = (np.cos(angle) * dy - np.sin(angle) * dx) / stretch
        if outline == "disk":
            beyond = np.hypot(u, v) - size
        elif outline == "box":
            beyond = np.maximum(np.abs(u), np.abs(v)) - 0.8 * size
        else:
            turn = np.arctan2(v, u)
            petals = 0.25 * np.cos(rng.integers(2, 6) * turn + rng.uniform(0, 6))
            beyond = np.hypot(u, v) - size * (1 + petals + 0.1 * np.cos(rng.integers(3, 9) * turn))
        cover = np.clip(0.5 - beyond, 0, 1)
        value = rng.random()
        if not is_flat and rng.random() < 0.5:
            value = value + rng.uniform(0, 0.4) * textures[rng.integers(3)][place]
        if rng.random() < 0.2:
            value = value + rng.uniform(-0.5, 0.5) * u / size
        drawing[place] += cover * (value - drawing[place])
    return drawing


def _lines(rng: np.random.Generator) -> Drawing:
    """Return curved lines of even or uneven brightness, blurred."""
    drawing = np.zeros((SIDE, SIDE))
    for _ in range(rng.integers(5, 80)):
        n = int(rng.uniform(0.2, 1.5) * SIDE)
        bend = np.cumsum(rng.standard_normal(n)) * rng.uniform(0, 0.003)
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(bend + 0.02 * rng.standard_normal(n))
        y, x = (rng.uniform(0, SIDE) + 0.7 * np.cumsum(turn(angle)) for turn in (np.sin, np.cos))
        brightness = np.full(n, rng.uniform(0.2, 1))
        if rng.random() < 0.4:
            brightness *= np.clip(1 + 1.8 * ndimage.gaussian_filter1d(rng.standard_normal(n), 3), 0, None)
        row, column = np.floor(y).astype(int), np.floor(x).astype(int)
        is_inside = (row >= 0) & (column >= 0) & (row < SIDE - 1) & (column < SIDE - 1)
        row, column, down, right, brightness = (
            each[is_inside] for each in (row, column, y - np.floor(y), x - np.floor(x), brightness)
        )
        np.add.at(drawing, (row, column), (1 - down) * (1 - right) * brightness)
        np.add.at(drawing, (row, column + 1), (1 - down) * right * brightness)
        np.add.at(drawing, (row + 1, column), down * (1 - right) * brightness)
        np.add.at(drawing, (row + 1, column + 1), down * right * brightness)
    drawing = ndimage.gaussian_filter(drawing, rng.uniform(0.6, 2.5))
    return drawing / (drawing.max() + 1e-9) * rng.uniform(0.5, 1.5)


def _spots(rng: np.random.Generator) -> Drawing:
    """Return few to many blurred spots of unequal brightness."""
    drawing = np.zeros((SIDE, SIDE))
    n = int(np.exp(rng.uniform(np.log(10), np.log(3000))))
    np.add.at(drawing, tuple(rng.integers(0, SIDE, (2, n))), rng.gamma(rng.uniform(0.5, 5), 1, n))
    drawing = ndimage.gaussian_filter(drawing, rng.uniform(0.7, 3))
    return drawing / (np.percentile(drawing, 99.8) + 1e-9)


def _cells(rng: np.random.Generator) -> Drawing:
    """Return round regions with texture, on dark ground; some with brighter borders."""
    field = _smooth_field(rng, rng.uniform(4, 25))
    region = 1 / (1 + np.exp(-(field - rng.uniform(-0.5, 1.5)) * rng.uniform(5, 60)))
    inside = np.clip(1 + rng.uniform(0, 0.5) * _texture(rng), 0, None)
    if rng.random() < 0.3:
        border = ndimage.gaussian_gradient_magnitude(region, rng.uniform(0.8, 2))
        region = rng.uniform(0, 0.4) * region + border / (border.max() + 1e-9)
    return region * inside


def _smooth_field(rng: np.random.Generator, width: float) -> Drawing:
    """Return white noise blurred by a Gaussian of a width in pixels, with a standard deviation of 1."""
    field = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), width)
    return field / field.std()
