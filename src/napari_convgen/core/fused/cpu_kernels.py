"""The kernels of the passes on the CPU, compiled by Numba.

Every pass cuts the coarse grid into tiles of some rows and columns and walks over the fine lines of each. A line is
upsampled into a buffer that fits the core's own cache, used, and forgotten. The tiles are the same for any number of
threads, and each adds up its own sums: threads do not change a bit of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

TILE_ROWS = 16
"""Coarse rows of a tile."""


def _compiled(function: Callable[..., Any]) -> Any:
    # Sums may be reordered, but a diverging fit must show its NaN and infinities.
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": {"reassoc", "contract", "nsz", "arcp"},
        "error_model": "numpy",
    }
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep the compiled code in
        return numba.njit(**options)(function)


# An axis is the tuple (taps, weights, back_taps, back_weights) of `grid.Axis`; `axes` are depth, rows and columns. Tensors
# have the members first and then a line in each row: its pixels side by side, the channels of a pixel together. A task is a
# tile of a member.


@_compiled
def _member(task, axes, n_columns):
    """Return a task's member and its tile."""
    n_tiles = -(-len(axes[1][2]) // TILE_ROWS) * -(-len(axes[2][2]) // n_columns)
    return task // n_tiles, task % n_tiles


@_compiled
def _tile(tile, axes, n_columns):
    """Return a tile's coarse rows and columns, and the fine rows and columns that it owns: four pairs."""
    rows, columns = axes[1], axes[2]
    n_across = -(-len(columns[2]) // n_columns)
    i0, j0 = tile // n_across * TILE_ROWS, tile % n_across * n_columns
    i1, j1 = min(i0 + TILE_ROWS, len(rows[2])), min(j0 + n_columns, len(columns[2]))
    by_row, by_column = 1 + (len(rows[0]) > len(rows[2])), 1 + (len(columns[0]) > len(columns[2]))
    h0, h1 = by_row * i0, min(by_row * i1, len(rows[0]))
    q0, q1 = by_column * j0, min(by_column * j1, len(columns[0]))
    return i0, i1, j0, j1, h0, h1, q0, q1


@_compiled
def _upsample_rows(z, k, axes, d, h, p0, p1, line):
    """Upsample along depth and rows to the fine line (d, h), at the coarse columns p0 … p1."""
    depth, rows, _ = axes
    for s in range(3):
        weight = depth[1][d, s]
        if weight == 0:
            continue
        start = depth[0][d, s] * len(rows[2])
        z0, z1, z2 = (
            z[start + rows[0][h, 0], p0 * k : p1 * k],
            z[start + rows[0][h, 1], p0 * k : p1 * k],
            z[start + rows[0][h, 2], p0 * k : p1 * k],
        )
        w0, w1, w2 = weight * rows[1][h, 0], weight * rows[1][h, 1], weight * rows[1][h, 2]
        if s == 0:
            for x in range(len(z0)):
                line[x] = w0 * z0[x] + w1 * z1[x] + w2 * z2[x]
        else:
            for x in range(len(z0)):
                line[x] += w0 * z0[x] + w1 * z1[x] + w2 * z2[x]


@_compiled
def _around(q, k, columns, p0):
    """Return where, in a line that starts at column p0, the coarse pixels begin that fine pixel q is made of, and their weights."""
    taps, weights = columns[0], columns[1]
    x0, x1, x2 = (taps[q, 0] - p0) * k, (taps[q, 1] - p0) * k, (taps[q, 2] - p0) * k
    return np.uint64(x0), np.uint64(x1), np.uint64(x2), weights[q, 0], weights[q, 1], weights[q, 2]


@_compiled
def _reach(columns, q0, q1):
    """Return the coarse columns that the fine columns q0 … q1 are made of."""
    return columns[0][q0].min(), columns[0][q1 - 1].max() + 1


@_compiled
def center(z, k, low, shift):
    """Write what is near enough to the mean of max(z, low) for sums about it: the mean of some pixels of each member."""
    for member in range(len(z)):
        pixels = z[member].reshape(-1, k)
        step = max(1, len(pixels) // 256)
        shift[member] = 0
        for p in range(0, len(pixels), step):
            for c in range(k):
                shift[member, c] += low if pixels[p, c] <= low else pixels[p, c]
        shift[member] /= -(-len(pixels) // step)


@_compiled
def moments(task, z, k, axes, n_columns, low, shift, sums):
    """Sum r − shift and its square over the fine pixels, r = max(u, low)."""
    member, tile = _member(task, axes, n_columns)
    z, shift = z[member], shift[member]
    channels = np.uint64(k)
    _, _, _, _, h0, h1, q0, q1 = _tile(tile, axes, n_columns)
    p0, p1 = _reach(axes[2], q0, q1)
    line = np.empty((p1 - p0) * k, z.dtype)
    sum1, sum2 = np.empty(k, z.dtype), np.empty(k, z.dtype)
    for d in range(len(axes[0][0])):
        for h in range(h0, h1):
            _upsample_rows(z, k, axes, d, h, p0, p1, line)
            sum1[:] = 0
            sum2[:] = 0
            for q in range(q0, q1):
                x0, x1, x2, w0, w1, w2 = _around(q, k, axes[2], p0)
                for c in range(channels):
                    u = w0 * line[x0 + c] + w1 * line[x1 + c] + w2 * line[x2 + c]
                    r = (low if u <= low else u) - shift[c]
                    sum1[c] += r
                    sum2[c] += r * r
            for c in range(channels):
                sums[tile, member, 0, c] += sum1[c]
                sums[tile, member, 1, c] += sum2[c]


@_compiled
def features(task, z, k, axes, n_columns, low1, low2, a, b, out):
    """Write the features max(a r + b, low2)."""
    member, tile = _member(task, axes, n_columns)
    z, a, b, out = z[member], a[member], b[member], out[member]
    channels = np.uint64(k)
    n_rows = len(axes[1][0])
    _, _, _, _, h0, h1, q0, q1 = _tile(tile, axes, n_columns)
    p0, p1 = _reach(axes[2], q0, q1)
    line = np.empty((p1 - p0) * k, z.dtype)
    for d in range(len(axes[0][0])):
        for h in range(h0, h1):
            _upsample_rows(z, k, axes, d, h, p0, p1, line)
            target = out[d * n_rows + h]
            for q in range(q0, q1):
                x0, x1, x2, w0, w1, w2 = _around(q, k, axes[2], p0)
                y = np.uint64(q * k)
                for c in range(channels):
                    u = w0 * line[x0 + c] + w1 * line[x1 + c] + w2 * line[x2 + c]
                    v = a[c] * (low1 if u <= low1 else u) + b[c]
                    target[y + c] = low2 if v <= low2 else v


@_compiled
def output(task, z, k, axes, n_columns, low1, low2, a, b, w, out):
    """Write the sums over channels of w times the features."""
    member, tile = _member(task, axes, n_columns)
    z, a, b, w, out = z[member], a[member], b[member], w[member], out[member]
    channels = np.uint64(k)
    n_rows = len(axes[1][0])
    _, _, _, _, h0, h1, q0, q1 = _tile(tile, axes, n_columns)
    p0, p1 = _reach(axes[2], q0, q1)
    line = np.empty((p1 - p0) * k, z.dtype)
    for d in range(len(axes[0][0])):
        for h in range(h0, h1):
            _upsample_rows(z, k, axes, d, h, p0, p1, line)
            for q in range(q0, q1):
                x0, x1, x2, w0, w1, w2 = _around(q, k, axes[2], p0)
                for o in range(len(w)):
                    w_ = w[o]
                    total = z.dtype.type(0)
                    for c in range(channels):
                        u = w0 * line[x0 + c] + w1 * line[x1 + c] + w2 * line[x2 + c]
                        v = a[c] * (low1 if u <= low1 else u) + b[c]
                        total += w_[c] * (low2 if v <= low2 else v)
                    out[o, d * n_rows + h, q] = total


@_compiled
def output_sums(task, z, k, axes, n_columns, low1, low2, a, b, g, sums):
    """Sum, for each output, its gradient where the channel is alive, and that times r."""
    member, tile = _member(task, axes, n_columns)
    z, a, b, g = z[member], a[member], b[member], g[member]
    channels = np.uint64(k)
    n_rows = len(axes[1][0])
    _, _, _, _, h0, h1, q0, q1 = _tile(tile, axes, n_columns)
    p0, p1 = _reach(axes[2], q0, q1)
    line = np.empty((p1 - p0) * k, z.dtype)
    sum1, sum2 = np.empty(k, z.dtype), np.empty(k, z.dtype)
    for d in range(len(axes[0][0])):
        for h in range(h0, h1):
            _upsample_rows(z, k, axes, d, h, p0, p1, line)
            for o in range(len(g)):
                sum1[:] = 0
                sum2[:] = 0
                for q in range(q0, q1):
                    x0, x1, x2, w0, w1, w2 = _around(q, k, axes[2], p0)
                    gradient = g[o, d * n_rows + h, q]
                    for c in range(channels):
                        u = w0 * line[x0 + c] + w1 * line[x1 + c] + w2 * line[x2 + c]
                        r = low1 if u <= low1 else u
                        masked = gradient if a[c] * r + b[c] > low2 else z.dtype.type(0)
                        sum1[c] += masked
                        sum2[c] += masked * r
                for c in range(channels):
                    sums[tile, member, 0, o, c] += sum1[c]
                    sums[tile, member, 1, o, c] += sum2[c]


@_compiled
def feature_sums(task, z, k, axes, n_columns, low1, low2, a, b, g, sums):
    """Sum the features' gradient where the channel is alive, and that times r."""
    member, tile = _member(task, axes, n_columns)
    z, a, b, g = z[member], a[member], b[member], g[member]
    channels = np.uint64(k)
    n_rows = len(axes[1][0])
    _, _, _, _, h0, h1, q0, q1 = _tile(tile, axes, n_columns)
    p0, p1 = _reach(axes[2], q0, q1)
    line = np.empty((p1 - p0) * k, z.dtype)
    sum1, sum2 = np.empty(k, z.dtype), np.empty(k, z.dtype)
    for d in range(len(axes[0][0])):
        for h in range(h0, h1):
            _upsample_rows(z, k, axes, d, h, p0, p1, line)
            gradient = g[d * n_rows + h]
            sum1[:] = 0
            sum2[:] = 0
            for q in range(q0, q1):
                x0, x1, x2, w0, w1, w2 = _around(q, k, axes[2], p0)
                y = np.uint64(q * k)
                for c in range(channels):
                    u = w0 * line[x0 + c] + w1 * line[x1 + c] + w2 * line[x2 + c]
                    r = low1 if u <= low1 else u
                    masked = gradient[y + c] if a[c] * r + b[c] > low2 else z.dtype.type(0)
                    sum1[c] += masked
                    sum2[c] += masked * r
            for c in range(channels):
                sums[tile, member, 0, c] += sum1[c]
                sums[tile, member, 1, c] += sum2[c]


@_compiled
def _spread(tile, k, axes, d, h, n_columns, fine, q_start, line, gz):
    """Add the gradient of a line, which starts at the fine column q_start, to the tile's own coarse rows and columns."""
    channels = np.uint64(k)
    depth, rows, columns = axes
    i0, i1, j0, j1, _, _, _, _ = _tile(tile, axes, n_columns)
    taps, weights = columns[2], columns[3]
    for j in range(j0, j1):
        start = np.uint64((j - j0) * k)
        x0, x1, x2 = (
            np.uint64((taps[j, 0] - q_start) * k),
            np.uint64((taps[j, 1] - q_start) * k),
            np.uint64((taps[j, 2] - q_start) * k),
        )
        x3, x4, x5 = (
            np.uint64((taps[j, 3] - q_start) * k),
            np.uint64((taps[j, 4] - q_start) * k),
            np.uint64((taps[j, 5] - q_start) * k),
        )
        w0, w1, w2, w3, w4, w5 = (
            weights[j, 0],
            weights[j, 1],
            weights[j, 2],
            weights[j, 3],
            weights[j, 4],
            weights[j, 5],
        )
        for c in range(channels):
            line[start + c] = (
                w0 * fine[x0 + c]
                + w1 * fine[x1 + c]
                + w2 * fine[x2 + c]
                + w3 * fine[x3 + c]
                + w4 * fine[x4 + c]
                + w5 * fine[x5 + c]
            )
    for s in range(3):
        for t in range(3):
            weight, row = depth[1][d, s] * rows[1][h, t], rows[0][h, t]
            if weight == 0 or row < i0 or row >= i1:
                continue
            target = gz[depth[0][d, s] * len(rows[2]) + row, j0 * k : j1 * k]
            for x in range(len(target)):
                target[x] += weight * line[x]


@_compiled
def _adjoint_reach(tile, axes, n_columns, gz, k):
    """Clear a tile's part of gz; return the fine rows and columns that reach into it, and the coarse columns under them."""
    rows, columns = axes[1], axes[2]
    i0, i1, j0, j1, _, _, _, _ = _tile(tile, axes, n_columns)
    for d in range(len(axes[0][2])):
        for i in range(i0, i1):
            gz[d * len(rows[2]) + i, j0 * k : j1 * k] = 0
    q0, q1 = columns[2][j0].min(), columns[2][j1 - 1].max() + 1
    p0, p1 = _reach(columns, q0, q1)
    return rows[2][i0].min(), rows[2][i1 - 1].max() + 1, q0, q1, p0, p1


@_compiled
def output_adjoint(task, z, k, axes, n_columns, low1, low2, a, b, c1, c2, g, w, gz):
    """Write the gradient with respect to z, given that of the outputs."""
    member, tile = _member(task, axes, n_columns)
    z, a, b, c1, c2, g, w, gz = (
        z[member],
        a[member],
        b[member],
        c1[member],
        c2[member],
        g[member],
        w[member],
        gz[member],
    )
    channels = np.uint64(k)
    n_rows = len(axes[1][0])
    h0, h1, q0, q1, p0, p1 = _adjoint_reach(tile, axes, n_columns, gz, k)
    line, fine = np.empty((p1 - p0) * k, z.dtype), np.empty((q1 - q0) * k, z.dtype)
    gradient = np.empty(k, z.dtype)
    zero = z.dtype.type(0)
    for d in range(len(axes[0][0])):
        for h in range(h0, h1):
            _upsample_rows(z, k, axes, d, h, p0, p1, line)
            for q in range(q0, q1):
                x0, x1, x2, w0, w1, w2 = _around(q, k, axes[2], p0)
                x = np.uint64((q - q0) * k)
                gradient[:] = 0
                for o in range(len(g)):
                    value, w_ = g[o, d * n_rows + h, q], w[o]
                    for c in range(channels):
                        gradient[c] += w_[c] * value
                for c in range(channels):
                    u = w0 * line[x0 + c] + w1 * line[x1 + c] + w2 * line[x2 + c]
                    r = low1 if u <= low1 else u
                    total = (a[c] * gradient[c] if a[c] * r + b[c] > low2 else zero) + c1[c] + c2[c] * r
                    fine[x + c] = total if u > low1 else zero
            _spread(tile, k, axes, d, h, n_columns, fine, q0, line, gz)


@_compiled
def feature_adjoint(task, z, k, axes, n_columns, low1, low2, a, b, c1, c2, g, gz):
    """Write the gradient with respect to z, given that of the features."""
    member, tile = _member(task, axes, n_columns)
    z, a, b, c1, c2, g, gz = z[member], a[member], b[member], c1[member], c2[member], g[member], gz[member]
    channels = np.uint64(k)
    n_rows = len(axes[1][0])
    h0, h1, q0, q1, p0, p1 = _adjoint_reach(tile, axes, n_columns, gz, k)
    line, fine = np.empty((p1 - p0) * k, z.dtype), np.empty((q1 - q0) * k, z.dtype)
    zero = z.dtype.type(0)
    for d in range(len(axes[0][0])):
        for h in range(h0, h1):
            _upsample_rows(z, k, axes, d, h, p0, p1, line)
            gradient = g[d * n_rows + h]
            for q in range(q0, q1):
                x0, x1, x2, w0, w1, w2 = _around(q, k, axes[2], p0)
                x, y = np.uint64((q - q0) * k), np.uint64(q * k)
                for c in range(channels):
                    u = w0 * line[x0 + c] + w1 * line[x1 + c] + w2 * line[x2 + c]
                    r = low1 if u <= low1 else u
                    total = (a[c] * gradient[y + c] if a[c] * r + b[c] > low2 else zero) + c1[c] + c2[c] * r
                    fine[x + c] = total if u > low1 else zero
            _spread(tile, k, axes, d, h, n_columns, fine, q0, line, gz)
