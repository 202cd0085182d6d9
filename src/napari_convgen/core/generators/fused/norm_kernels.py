"""The kernels of the channel norm with a leaky ReLU on the CPU, compiled by Numba.

A tensor is one line: its pixels one after the other, with the ``k`` channels of a pixel together. A kernel processes the tiles from
``first`` to ``last``, each of ``n_tile`` values, in rows of ``n_row`` values. Tables repeat the numbers of the channels along a row, so
that a row takes the same time for any number of channels. The tiles are the same for any number of threads, and each has its own sums,
so the number of threads does not change the result.

The rows of ``norm`` are the mean, deviation, slope and intercept of each channel. ``below`` holds the slope of the ReLU below zero; its
dtype is the one in which the kernels compute.

Values of half precision (bfloat16) are passed as 16-bit integers and computed with in single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from napari_convgen.core.cpu.compiled import compiled
from napari_convgen.core.generators.fused.passes import EPSILON


@intrinsic
def _as_float(typing_context, bits):
    """Reinterpret 32 bits as a number."""
    return types.float32(types.uint32), lambda c, builder, s, arguments: builder.bitcast(arguments[0], ir.FloatType())


@intrinsic
def _as_bits(typing_context, number):
    """Reinterpret a number as 32 bits."""
    return types.uint32(types.float32), lambda c, builder, s, arguments: builder.bitcast(arguments[0], ir.IntType(32))


def _load(values: Any, i: int) -> Any:
    """Return a value of a tensor as a number; for compiled code only."""
    raise NotImplementedError


def _store(values: Any, i: int, number: Any) -> None:
    """Put a number into a tensor; for compiled code only."""
    raise NotImplementedError


@overload(_load, inline="always")
def _compile_load(values, i):
    if values.dtype == types.uint16:
        return lambda values, i: _as_float(np.uint32(values[i]) << np.uint32(16))
    return lambda values, i: values[i]


@overload(_store, inline="always")
def _compile_store(values, i, number):
    if values.dtype != types.uint16:

        def store(values, i, number):
            values[i] = number

        return store

    def round_and_store(values, i, number):  # to the nearest, the even one of two
        bits = _as_bits(number)
        values[i] = np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

    return round_and_store


@compiled
def _table(numbers, n_row, like):
    """Repeat one number for each channel along a row."""
    table = np.empty(n_row, like.dtype)
    for j in range(n_row):
        table[j] = numbers[j % len(numbers)]
    return table


@compiled
def _add_row(sums, first, second):
    """Add the sums for each place in a row to the sums of its channel."""
    k = sums.shape[1]
    for j in range(len(first)):
        sums[0, j % k] += first[j]
        sums[1, j % k] += second[j]


@compiled
def moments(first, last, n_tile, n_row, x, below, sums):
    """Add up each channel's difference from its first value, and the square of that."""
    k = sums.shape[2]
    shift, plain, square = np.empty((3, n_row), below.dtype)
    for j in range(n_row):
        shift[j] = _load(x, j % k)
    for tile in range(first, last):
        plain[:] = 0
        square[:] = 0
        start, end = tile * n_tile, min((tile + 1) * n_tile, len(x))
        for row in range(start, end, n_row):
            at = np.uint64(row)
            for j in range(np.uint64(min(n_row, end - row))):
                difference = _load(x, at + j) - shift[j]
                plain[j] += difference
                square[j] += difference * difference
        _add_row(sums[tile], plain, square)


@compiled
def settle(x, sums, scale, offset, norm):
    """Compute mean, deviation, slope and intercept of the norm from the moments."""
    k = len(scale)
    n_pixels = len(x) // k
    for c in range(k):
        mean, square = sums[:, 0, c].sum() / n_pixels, sums[:, 1, c].sum() / n_pixels
        norm[0, c] = mean + _load(x, c)
        variance = square - mean * mean
        norm[1, c] = np.sqrt((0.0 if variance < 0 else variance) + EPSILON)  # max() might return 0 instead of NaN
        norm[2, c] = scale[c] / norm[1, c]
        norm[3, c] = offset[c] - norm[2, c] * norm[0, c]


@compiled
def apply(first, last, n_tile, n_row, x, norm, below, out):
    """Write the leaky ReLU of the norm of x."""
    a, b = _table(norm[2], n_row, below), _table(norm[3], n_row, below)
    one, slope_below = below.dtype.type(1), below[0]
    for row in range(first * n_tile, min(last * n_tile, len(x)), n_row):
        at = np.uint64(row)
        for j in range(np.uint64(min(n_row, len(x) - row))):
            y = a[j] * _load(x, at + j) + b[j]
            y *= one if y > 0 else slope_below  # Numba loses a condition in an inlined call
            _store(out, at + j, y)


@compiled
def gradient_sums(first, last, n_tile, n_row, x, g, norm, below, sums):
    """Sum the gradient with respect to the norm, and its product with x minus the mean, for each channel."""
    mean, a, b = _table(norm[0], n_row, below), _table(norm[2], n_row, below), _table(norm[3], n_row, below)
    plain, weighted = np.empty((2, n_row), below.dtype)
    one, slope_below = below.dtype.type(1), below[0]
    for tile in range(first, last):
        plain[:] = 0
        weighted[:] = 0
        start, end = tile * n_tile, min((tile + 1) * n_tile, len(x))
        for row in range(start, end, n_row):
            at = np.uint64(row)
            for j in range(np.uint64(min(n_row, end - row))):
                value, gradient = _load(x, at + j), _load(g, at + j)
                gradient *= one if a[j] * value + b[j] > 0 else slope_below
                plain[j] += gradient
                weighted[j] += gradient * (value - mean[j])
        _add_row(sums[tile], plain, weighted)


@compiled
def settle_gradient(sums, norm, n_pixels, by_scale, by_offset, slope):
    """Compute the gradients with respect to scale and offset, and the slope and intercept that the moments add."""
    for c in range(norm.shape[1]):
        plain, weighted = sums[:, 0, c].sum(), sums[:, 1, c].sum() / norm[1, c]
        by_offset[c], by_scale[c] = plain, weighted
        slope[0, c] = -norm[2, c] * weighted / norm[1, c] / n_pixels
        slope[1, c] = -norm[2, c] * plain / n_pixels - slope[0, c] * norm[0, c]


@compiled
def adjoint(first, last, n_tile, n_row, x, g, norm, below, slope, out):
    """Write the gradient with respect to x."""
    a, b = _table(norm[2], n_row, below), _table(norm[3], n_row, below)
    linear, constant = _table(slope[0], n_row, below), _table(slope[1], n_row, below)
    one, slope_below = below.dtype.type(1), below[0]
    for row in range(first * n_tile, min(last * n_tile, len(x)), n_row):
        at = np.uint64(row)
        for j in range(np.uint64(min(n_row, len(x) - row))):
            value, gradient = _load(x, at + j), _load(g, at + j)
            gradient *= one if a[j] * value + b[j] > 0 else slope_below
            result = a[j] * gradient + linear[j] * value + constant[j]
            _store(out, at + j, result)
