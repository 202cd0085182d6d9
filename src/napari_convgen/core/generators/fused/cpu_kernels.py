"""The kernels of the passes on the CPU, compiled by Numba.

Every pass divides the coarse grid into tiles of some rows and columns and processes the fine lines of each tile, two at once. Lines are
upsampled into buffers that fit the cache of a core, used there, and never stored. The tiles are the same for any number of threads, and
each tile has its own sums, so the number of threads does not change the result.

The first axis of a tensor counts members, the second lines; a line holds its pixels one after the other, with the channels of a pixel
together. An axis is the tuple of the tables of `grid.Axis`, in their order; ``axes`` are depth, rows and columns. A kernel processes the
tasks from ``first`` to ``last``; a task is a tile of a member. Fine rows and columns are processed in pairs. If the second of a pair is
missing, the first is used in its place with weight 0.
"""

from __future__ import annotations

import numpy as np

from napari_convgen.core.cpu.compiled import compiled, inlined

TILE_ROWS = 16
"""Number of coarse rows of a tile; even."""

N_RING = 4
"""Number of pairs of fine columns that are buffered until all their coarse columns are updated: at least 3, and a power of two."""


@compiled
def _tile(task, axes, n_across):
    """Return a task's member and tile, and the coarse rows and columns of the tile, which is n_across columns wide."""
    n_rows, n_columns = axes[1][0], axes[2][0]
    n_beside = -(-n_columns // n_across)
    n_tiles = -(-n_rows // TILE_ROWS) * n_beside
    member, tile = task // n_tiles, task % n_tiles
    i0, j0 = tile // n_beside * TILE_ROWS, tile % n_beside * n_across
    return member, tile, i0, min(i0 + TILE_ROWS, n_rows), j0, min(j0 + n_across, n_columns)


@compiled
def _pairs(task, axes, n_across):
    """Return the same as `_tile`, but with the pairs of fine rows and columns of the tile."""
    member, tile, i0, i1, j0, j1 = _tile(task, axes, n_across)
    if axes[1][0] == axes[1][1]:
        i0, i1 = i0 // 2, (i1 + 1) // 2
    if axes[2][0] == axes[2][1]:
        j0, j1 = j0 // 2, (j1 + 1) // 2
    return member, tile, i0, i1, j0, j1


@compiled
def _reach(taps, j0, j1):
    """Return the range of samples that contains the taps from j0 to j1."""
    return taps[j0].min(), taps[j1 - 1].max() + 1


@compiled
def _upsample_rows(z, k, axes, d, p, x0, x1, lines):
    """Upsample along depth and rows to the pair p of lines of the fine plane d, at the coarse columns x0 … x1."""
    depth, rows = axes[0], axes[1]
    line0, line1 = lines[0, : (x1 - x0) * k], lines[1, : (x1 - x0) * k]
    is_empty = True
    for s in range(3):
        plane_weight = depth[3][d // 2, d % 2, s]
        if plane_weight == 0:
            continue
        start, taps, weights = depth[2][d // 2, s] * rows[0], rows[2][p], plane_weight * rows[3][p]
        z0, z1, z2 = (
            z[start + taps[0], x0 * k : x1 * k],
            z[start + taps[1], x0 * k : x1 * k],
            z[start + taps[2], x0 * k : x1 * k],
        )
        v0, v1, v2, w0, w1, w2 = (
            weights[0, 0],
            weights[0, 1],
            weights[0, 2],
            weights[1, 0],
            weights[1, 1],
            weights[1, 2],
        )
        if is_empty:
            for x in range(len(line0)):
                line0[x] = v0 * z0[x] + v1 * z1[x] + v2 * z2[x]
                line1[x] = w0 * z0[x] + w1 * z1[x] + w2 * z2[x]
        else:
            for x in range(len(line0)):
                line0[x] += v0 * z0[x] + v1 * z1[x] + v2 * z2[x]
                line1[x] += w0 * z0[x] + w1 * z1[x] + w2 * z2[x]
        is_empty = False


# The functions for a pixel slice no array either: Numba would count the references of each slice.


@inlined
def _around(r, k, taps, weights, x0):
    """Return the positions of the pixels under the pair r, in lines that start at the coarse column x0, and their weights."""
    y0, y1, y2 = np.uint64((taps[r, 0] - x0) * k), np.uint64((taps[r, 1] - x0) * k), np.uint64((taps[r, 2] - x0) * k)
    return (
        y0,
        y1,
        y2,
        weights[r, 0, 0],
        weights[r, 0, 1],
        weights[r, 0, 2],
        weights[r, 1, 0],
        weights[r, 1, 1],
        weights[r, 1, 2],
    )


@inlined
def _pair(p, n_fine):
    """Return the fine samples of a pair, and whether the second is another one."""
    q0, q1 = 2 * p, min(2 * p + 1, n_fine - 1)
    return q0, q1, q1 > q0


@compiled
def center(z, k, low, shift):
    """Write an approximate mean of max(z, low) from about 256 pixels of each member; sums about it lose no accuracy."""
    for member in range(len(z)):
        pixels = z[member].reshape(-1, k)
        step = max(1, len(pixels) // 256)
        shift[member] = 0
        for p in range(0, len(pixels), step):
            for c in range(k):
                shift[member, c] += low if pixels[p, c] <= low else pixels[p, c]
        shift[member] /= -(-len(pixels) // step)


@compiled
def moments(first, last, z, k, axes, n_across, low, shift, sums):
    """Sum r − shift and its square over the fine pixels, r = max(u, low)."""
    channels, one = np.uint64(k), z.dtype.type(1)
    rows, columns = axes[1], axes[2]
    n_columns, taps, weights = columns[1], columns[2], columns[3]
    sum1, sum2 = np.empty(k, z.dtype), np.empty(k, z.dtype)
    for task in range(first, last):
        member, tile, p0, p1, r0, r1 = _pairs(task, axes, n_across)
        x0, x1 = _reach(columns[2], r0, r1)
        lines, shift_ = np.empty((2, (x1 - x0) * k), z.dtype), shift[member]
        line0, line1 = lines[0], lines[1]
        for d in range(axes[0][1]):
            for p in range(p0, p1):
                _upsample_rows(z[member], k, axes, d, p, x0, x1, lines)
                below = one * _pair(p, rows[1])[2]
                sum1[:] = 0
                sum2[:] = 0
                for r in range(r0, r1):
                    y0, y1, y2, v0, v1, v2, w0, w1, w2 = _around(r, k, taps, weights, x0)
                    right = one * _pair(r, n_columns)[2]
                    for c in range(channels):
                        u00 = v0 * line0[y0 + c] + v1 * line0[y1 + c] + v2 * line0[y2 + c]
                        u01 = w0 * line0[y0 + c] + w1 * line0[y1 + c] + w2 * line0[y2 + c]
                        u10 = v0 * line1[y0 + c] + v1 * line1[y1 + c] + v2 * line1[y2 + c]
                        u11 = w0 * line1[y0 + c] + w1 * line1[y1 + c] + w2 * line1[y2 + c]
                        r00 = (low if u00 <= low else u00) - shift_[c]
                        r01 = (low if u01 <= low else u01) - shift_[c]
                        r10 = (low if u10 <= low else u10) - shift_[c]
                        r11 = (low if u11 <= low else u11) - shift_[c]
                        sum1[c] += r00 + right * r01 + below * (r10 + right * r11)
                        sum2[c] += r00 * r00 + right * r01 * r01 + below * (r10 * r10 + right * r11 * r11)
                sums[tile, member, 0] += sum1
                sums[tile, member, 1] += sum2


@compiled
def _gram_rows(z, k, axes, plane, row, x0, x1, line):
    """Multiply by U'U along depth and rows, at a coarse row and the coarse columns x0 … x1."""
    depth, rows = axes[0], axes[1]
    is_empty = True
    for s in range(5):
        plane_weight, start = depth[7][plane, s], depth[6][plane, s] * rows[0]
        if plane_weight == 0:
            continue
        taps, weights = rows[6][row], plane_weight * rows[7][row]
        z0, z1, z2, z3, z4 = (
            z[start + taps[0], x0 * k : x1 * k],
            z[start + taps[1], x0 * k : x1 * k],
            z[start + taps[2], x0 * k : x1 * k],
            z[start + taps[3], x0 * k : x1 * k],
            z[start + taps[4], x0 * k : x1 * k],
        )
        w0, w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3], weights[4]
        if is_empty:
            for x in range(len(line)):
                line[x] = w0 * z0[x] + w1 * z1[x] + w2 * z2[x] + w3 * z3[x] + w4 * z4[x]
        else:
            for x in range(len(line)):
                line[x] += w0 * z0[x] + w1 * z1[x] + w2 * z2[x] + w3 * z3[x] + w4 * z4[x]
        is_empty = False


@inlined
def _gram_around(j, k, taps, weights, x0):
    """Return the positions of the pixels that U'U combines at column j, in lines that start at the coarse column x0, and their weights."""
    y0, y1, y2, y3, y4 = (
        np.uint64((taps[j, 0] - x0) * k),
        np.uint64((taps[j, 1] - x0) * k),
        np.uint64((taps[j, 2] - x0) * k),
        np.uint64((taps[j, 3] - x0) * k),
        np.uint64((taps[j, 4] - x0) * k),
    )
    return y0, y1, y2, y3, y4, weights[j, 0], weights[j, 1], weights[j, 2], weights[j, 3], weights[j, 4]


@compiled
def coarse_moments(first, last, z, k, axes, n_across, shift, sums):
    """Sum u − shift and its square over the fine pixels, without u: as <U'1, z − shift> and <z − shift, U'U (z − shift)>."""
    channels = np.uint64(k)
    depth, rows, columns = axes
    taps, weights, totals = columns[6], columns[7], columns[8]
    sum1, sum2 = np.empty(k, z.dtype), np.empty(k, z.dtype)
    for task in range(first, last):
        member, tile, i0, i1, j0, j1 = _tile(task, axes, n_across)
        x0, x1 = _reach(columns[6], j0, j1)
        line, z_, shift_ = np.empty((x1 - x0) * k, z.dtype), z[member], shift[member]
        for plane in range(depth[0]):
            for i in range(i0, i1):
                _gram_rows(z_, k, axes, plane, i, x0, x1, line)
                source, line_total = z_[plane * rows[0] + i], depth[8][plane] * rows[8][i]
                sum1[:] = 0
                sum2[:] = 0
                for j in range(j0, j1):
                    y0, y1, y2, y3, y4, w0, w1, w2, w3, w4 = _gram_around(j, k, taps, weights, x0)
                    x, total = np.uint64(j * k), line_total * totals[j]
                    for c in range(channels):
                        mixed = (
                            w0 * line[y0 + c]
                            + w1 * line[y1 + c]
                            + w2 * line[y2 + c]
                            + w3 * line[y3 + c]
                            + w4 * line[y4 + c]
                        )
                        centered = source[x + c] - shift_[c]
                        sum1[c] += total * centered
                        sum2[c] += (mixed - total * shift_[c]) * centered
                sums[tile, member, 0] += sum1
                sums[tile, member, 1] += sum2


@compiled
def features(first, last, z, k, axes, n_across, low1, low2, a, b, out):
    """Write the features max(a r + b, low2); r is u if low1 is None."""
    channels = np.uint64(k)
    rows, columns = axes[1], axes[2]
    n_columns, taps, weights = columns[1], columns[2], columns[3]
    for task in range(first, last):
        member, _, p0, p1, r0, r1 = _pairs(task, axes, n_across)
        x0, x1 = _reach(columns[2], r0, r1)
        lines, a_, b_ = np.empty((2, (x1 - x0) * k), z.dtype), a[member], b[member]
        for d in range(axes[0][1]):
            for p in range(p0, p1):
                _upsample_rows(z[member], k, axes, d, p, x0, x1, lines)
                h0, h1, _ = _pair(p, rows[1])
                for s in range(2):
                    line, target = lines[s], out[member, d * rows[1] + (h1 if s else h0)]
                    for r in range(r0, r1):
                        y0, y1, y2, v0, v1, v2, w0, w1, w2 = _around(r, k, taps, weights, x0)
                        q0, q1, _ = _pair(r, n_columns)
                        t0, t1 = np.uint64(q0 * k), np.uint64(q1 * k)
                        for c in range(channels):
                            u0 = v0 * line[y0 + c] + v1 * line[y1 + c] + v2 * line[y2 + c]
                            u1 = w0 * line[y0 + c] + w1 * line[y1 + c] + w2 * line[y2 + c]
                            if low1 is not None:
                                u0, u1 = low1 if u0 <= low1 else u0, low1 if u1 <= low1 else u1
                            f0, f1 = a_[c] * u0 + b_[c], a_[c] * u1 + b_[c]
                            target[t0 + c] = low2 if f0 <= low2 else f0
                            target[t1 + c] = low2 if f1 <= low2 else f1


@compiled
def output(first, last, z, k, axes, n_across, low1, low2, a, b, w, out):
    """Write the sums over channels of w times the features; r is u if low1 is None."""
    channels, zero = np.uint64(k), z.dtype.type(0)
    rows, columns = axes[1], axes[2]
    n_columns, taps, weights = columns[1], columns[2], columns[3]
    for task in range(first, last):
        member, _, p0, p1, r0, r1 = _pairs(task, axes, n_across)
        x0, x1 = _reach(columns[2], r0, r1)
        lines, a_, b_ = np.empty((2, (x1 - x0) * k), z.dtype), a[member], b[member]
        line0, line1 = lines[0], lines[1]
        for d in range(axes[0][1]):
            for p in range(p0, p1):
                _upsample_rows(z[member], k, axes, d, p, x0, x1, lines)
                h0, h1, _ = _pair(p, rows[1])
                for o in range(w.shape[1]):
                    w_ = w[member, o]
                    target0, target1 = out[member, o, d * rows[1] + h0], out[member, o, d * rows[1] + h1]
                    for r in range(r0, r1):
                        y0, y1, y2, v0, v1, v2, w0, w1, w2 = _around(r, k, taps, weights, x0)
                        f00, f01, f10, f11 = zero, zero, zero, zero
                        for c in range(channels):
                            u00 = v0 * line0[y0 + c] + v1 * line0[y1 + c] + v2 * line0[y2 + c]
                            u01 = w0 * line0[y0 + c] + w1 * line0[y1 + c] + w2 * line0[y2 + c]
                            u10 = v0 * line1[y0 + c] + v1 * line1[y1 + c] + v2 * line1[y2 + c]
                            u11 = w0 * line1[y0 + c] + w1 * line1[y1 + c] + w2 * line1[y2 + c]
                            if low1 is not None:
                                u00, u01 = low1 if u00 <= low1 else u00, low1 if u01 <= low1 else u01
                                u10, u11 = low1 if u10 <= low1 else u10, low1 if u11 <= low1 else u11
                            n00, n01, n10, n11 = (
                                a_[c] * u00 + b_[c],
                                a_[c] * u01 + b_[c],
                                a_[c] * u10 + b_[c],
                                a_[c] * u11 + b_[c],
                            )
                            f00 += w_[c] * (low2 if n00 <= low2 else n00)
                            f01 += w_[c] * (low2 if n01 <= low2 else n01)
                            f10 += w_[c] * (low2 if n10 <= low2 else n10)
                            f11 += w_[c] * (low2 if n11 <= low2 else n11)
                        q0, q1, _ = _pair(r, n_columns)
                        target0[q0], target0[q1], target1[q0], target1[q1] = f00, f01, f10, f11


# ``g`` is the gradient of the outputs with weights ``w``, or the gradient of the features if w is None.


@compiled
def relu_sums(first, last, z, k, axes, n_across, g, w, sums):
    """Sum, for each output if there are weights, the gradient's products with 1 and with r = max(u, 0)."""
    channels, one, zero = np.uint64(k), z.dtype.type(1), z.dtype.type(0)
    rows, columns = axes[1], axes[2]
    n_columns, taps, weights = columns[1], columns[2], columns[3]
    sum1, sum2 = np.empty(k, z.dtype), np.empty(k, z.dtype)
    for task in range(first, last):
        member, tile, p0, p1, r0, r1 = _pairs(task, axes, n_across)
        x0, x1 = _reach(columns[2], r0, r1)
        lines = np.empty((2, (x1 - x0) * k), z.dtype)
        for d in range(axes[0][1]):
            for p in range(p0, p1):
                _upsample_rows(z[member], k, axes, d, p, x0, x1, lines)
                h0, h1, is_below = _pair(p, rows[1])
                for o in range(sums.shape[3]):
                    sum1[:] = 0
                    sum2[:] = 0
                    for s in range(1 + is_below):
                        line, h = lines[s], d * rows[1] + (h1 if s else h0)
                        for r in range(r0, r1):
                            y0, y1, y2, v0, v1, v2, w0, w1, w2 = _around(r, k, taps, weights, x0)
                            q0, q1, is_right = _pair(r, n_columns)
                            right = one * is_right
                            if w is None:
                                t0, t1 = np.uint64(q0 * k), np.uint64(q1 * k)
                            else:
                                g0, g1 = g[member, o, h, q0], right * g[member, o, h, q1]
                            for c in range(channels):
                                if w is None:
                                    g0, g1 = g[member, o, h, t0 + c], right * g[member, o, h, t1 + c]
                                u0 = v0 * line[y0 + c] + v1 * line[y1 + c] + v2 * line[y2 + c]
                                u1 = w0 * line[y0 + c] + w1 * line[y1 + c] + w2 * line[y2 + c]
                                sum1[c] += g0 + g1
                                sum2[c] += g0 * (zero if u0 <= 0 else u0) + g1 * (zero if u1 <= 0 else u1)
                    sums[tile, member, 0, o] += sum1
                    sums[tile, member, 1, o] += sum2


@compiled
def _adjoint_reach(i0, i1, j0, j1, member, k, axes, gz):
    """Set a tile of gz to zero; return the pairs of fine rows and columns that contribute to it, and the coarse columns under them."""
    rows, columns = axes[1], axes[2]
    for plane in range(axes[0][0]):
        for i in range(i0, i1):
            gz[member, plane * rows[0] + i, j0 * k : j1 * k] = 0
    r0, r1 = _reach(columns[4], j0, j1)
    x0, x1 = _reach(columns[2], r0, r1)
    p0, p1 = _reach(rows[4], i0, i1)
    return p0, p1, r0, r1, x0, x1


@inlined
def _fold(j, below, ring, k, taps, weights, folded):
    """Apply the adjoint of the upsampling along columns at the coarse column j, to both lines of a pair."""
    channels = np.uint64(k)
    y0, y1, y2 = (
        np.uint64(taps[j, 0] % N_RING * 4 * k),
        np.uint64(taps[j, 1] % N_RING * 4 * k),
        np.uint64(taps[j, 2] % N_RING * 4 * k),
    )
    v0, v1, v2 = weights[j, 0, 0], weights[j, 1, 0], weights[j, 2, 0]
    w0, w1, w2 = weights[j, 0, 1], weights[j, 1, 1], weights[j, 2, 1]
    for c in range(channels):
        folded[c] = (
            v0 * ring[y0 + c]
            + w0 * ring[y0 + channels + c]
            + v1 * ring[y1 + c]
            + w1 * ring[y1 + channels + c]
            + v2 * ring[y2 + c]
            + w2 * ring[y2 + channels + c]
        )
    y0, y1, y2 = y0 + channels + channels, y1 + channels + channels, y2 + channels + channels
    for c in range(channels):
        folded[channels + c] = below * (
            v0 * ring[y0 + c]
            + w0 * ring[y0 + channels + c]
            + v1 * ring[y1 + c]
            + w1 * ring[y1 + channels + c]
            + v2 * ring[y2 + c]
            + w2 * ring[y2 + channels + c]
        )


@inlined
def _add_rows(j, folded, k, n_targets, targets, shares, gz):
    """Apply the adjoint along rows and depth: add the folded pair of lines to the coarse lines that it is interpolated from."""
    channels, x = np.uint64(k), np.uint64(j * k)
    for t in range(n_targets):
        row, w0, w1 = targets[t], shares[t, 0], shares[t, 1]
        for c in range(channels):
            gz[row, x + c] += w0 * folded[c] + w1 * folded[channels + c]


@compiled
def _shares(axes, d, p, i0, i1, targets, shares):
    """Write the coarse lines of a tile under the pair p of lines of the fine plane d, and their weights; return their number."""
    depth, rows = axes[0], axes[1]
    n = 0
    for s in range(3):
        for t in range(3):
            row = rows[2][p, t]
            w0 = depth[3][d // 2, d % 2, s] * rows[3][p, 0, t]
            w1 = depth[3][d // 2, d % 2, s] * rows[3][p, 1, t]
            if i0 <= row < i1 and (w0 != 0 or w1 != 0):
                targets[n] = depth[2][d // 2, s] * rows[0] + row
                shares[n, 0], shares[n, 1] = w0, w1
                n += 1
    return n


@compiled
def relu_adjoint(first, last, z, k, axes, n_across, a, c1, c2, g, w, gz):
    """Write U' [u > 0] (a g + c1 + c2 u)."""
    channels, one, zero = np.uint64(k), z.dtype.type(1), z.dtype.type(0)
    rows, columns = axes[1], axes[2]
    n_columns, taps, weights = columns[1], columns[2], columns[3]
    back_taps, back_weights = columns[4], columns[5]
    gradient, folded, ring = np.empty(2 * k, z.dtype), np.empty(2 * k, z.dtype), np.zeros(N_RING * 4 * k, z.dtype)
    targets, shares = np.empty(9, np.int64), np.empty((9, 2), z.dtype)
    for task in range(first, last):
        member, _, i0, i1, j0, j1 = _tile(task, axes, n_across)
        p0, p1, r0, r1, x0, x1 = _adjoint_reach(i0, i1, j0, j1, member, k, axes, gz)
        lines, a_, c1_, c2_, gz_ = np.empty((2, (x1 - x0) * k), z.dtype), a[member], c1[member], c2[member], gz[member]
        for d in range(axes[0][1]):
            for p in range(p0, p1):
                _upsample_rows(z[member], k, axes, d, p, x0, x1, lines)
                n_targets = _shares(axes, d, p, i0, i1, targets, shares)
                h0, h1, is_below = _pair(p, rows[1])
                j = j0
                for r in range(r0, r1):
                    y0, y1, y2, v0, v1, v2, w0, w1, w2 = _around(r, k, taps, weights, x0)
                    q0, q1, _ = _pair(r, n_columns)
                    for s in range(2):
                        h, t0 = d * rows[1] + (h1 if s else h0), np.uint64((r % N_RING * 2 + s) * 2 * k)
                        if w is None:
                            s0, s1 = np.uint64(q0 * k), np.uint64(q1 * k)
                        else:
                            gradient[:] = 0
                            for o in range(w.shape[1]):
                                g0, g1 = g[member, o, h, q0], g[member, o, h, q1]
                                for c in range(channels):
                                    gradient[c] += w[member, o, c] * g0
                                    gradient[channels + c] += w[member, o, c] * g1
                        for c in range(channels):
                            if w is None:
                                g0, g1 = g[member, 0, h, s0 + c], g[member, 0, h, s1 + c]
                            else:
                                g0, g1 = gradient[c], gradient[channels + c]
                            u0 = v0 * lines[s, y0 + c] + v1 * lines[s, y1 + c] + v2 * lines[s, y2 + c]
                            u1 = w0 * lines[s, y0 + c] + w1 * lines[s, y1 + c] + w2 * lines[s, y2 + c]
                            ring[t0 + c] = a_[c] * g0 + c1_[c] + c2_[c] * u0 if u0 > 0 else zero
                            ring[t0 + channels + c] = a_[c] * g1 + c1_[c] + c2_[c] * u1 if u1 > 0 else zero
                    while j < j1 and back_taps[j, 2] <= r:
                        _fold(j, one * is_below, ring, k, back_taps, back_weights, folded)
                        _add_rows(j, folded, k, n_targets, targets, shares, gz_)
                        j += 1


@compiled
def spread(first, last, z, k, axes, n_across, low2, a, b, g, w, sums, gz):
    """Write U' m g, with m = 1 where a u + b > low2, else 0; sum, for each output if there are weights, m g and m g u.

    The g of several outputs is the sum of their gradients times weights; of one, its gradient without the weights.
    """
    channels, one, zero = np.uint64(k), z.dtype.type(1), z.dtype.type(0)
    rows, columns = axes[1], axes[2]
    n_columns, taps, weights = columns[1], columns[2], columns[3]
    back_taps, back_weights = columns[4], columns[5]
    n_outputs, sum1, sum2 = sums.shape[3], np.empty(k, z.dtype), np.empty(k, z.dtype)
    folded, ring = np.empty(2 * k, z.dtype), np.zeros(N_RING * 4 * k, z.dtype)
    targets, shares = np.empty(9, np.int64), np.empty((9, 2), z.dtype)
    for task in range(first, last):
        member, tile, i0, i1, j0, j1 = _tile(task, axes, n_across)
        p0, p1, r0, r1, x0, x1 = _adjoint_reach(i0, i1, j0, j1, member, k, axes, gz)
        lines, a_, b_, gz_ = np.empty((2, (x1 - x0) * k), z.dtype), a[member], b[member], gz[member]
        for d in range(axes[0][1]):
            for p in range(p0, p1):
                _upsample_rows(z[member], k, axes, d, p, x0, x1, lines)
                n_targets = _shares(axes, d, p, i0, i1, targets, shares)
                h0, h1, is_below = _pair(p, rows[1])
                for o in range(n_outputs):
                    sum1[:] = 0
                    sum2[:] = 0
                    j = j0
                    for r in range(r0, r1):
                        y0, y1, y2, v0, v1, v2, w0, w1, w2 = _around(r, k, taps, weights, x0)
                        q0, q1, _ = _pair(r, n_columns)
                        for s in range(2):
                            h, t0 = d * rows[1] + (h1 if s else h0), np.uint64((r % N_RING * 2 + s) * 2 * k)
                            if w is None:
                                s0, s1 = np.uint64(q0 * k), np.uint64(q1 * k)
                            else:
                                g0, g1 = g[member, o, h, q0], g[member, o, h, q1]
                            for c in range(channels):
                                if w is None:
                                    g0, g1 = g[member, o, h, s0 + c], g[member, o, h, s1 + c]
                                u0 = v0 * lines[s, y0 + c] + v1 * lines[s, y1 + c] + v2 * lines[s, y2 + c]
                                u1 = w0 * lines[s, y0 + c] + w1 * lines[s, y1 + c] + w2 * lines[s, y2 + c]
                                ring[t0 + c] = g0 if a_[c] * u0 + b_[c] > low2 else zero
                                ring[t0 + channels + c] = g1 if a_[c] * u1 + b_[c] > low2 else zero
                        while j < j1 and back_taps[j, 2] <= r:
                            _fold(j, one * is_below, ring, k, back_taps, back_weights, folded)
                            # A line's products with 1 and u are those of its fold with 1 and with what u is made of.
                            y = np.uint64((j - x0) * k)
                            for c in range(channels):
                                sum1[c] += folded[c] + folded[channels + c]
                                sum2[c] += folded[c] * lines[0, y + c] + folded[channels + c] * lines[1, y + c]
                            if w is not None and n_outputs > 1:
                                for c in range(channels):
                                    folded[c] *= w[member, o, c]
                                    folded[channels + c] *= w[member, o, c]
                            _add_rows(j, folded, k, n_targets, targets, shares, gz_)
                            j += 1
                    if i0 <= rows[2][p, 1] < i1:
                        sums[tile, member, 0, o] += sum1
                        sums[tile, member, 1, o] += sum2


@compiled
def add_slope(first, last, z, k, axes, n_across, a, c1, c2, gz):
    """Multiply by a and add U' (c1 + c2 u), without u."""
    channels = np.uint64(k)
    depth, rows, columns = axes
    taps, weights, totals = columns[6], columns[7], columns[8]
    for task in range(first, last):
        member, _, i0, i1, j0, j1 = _tile(task, axes, n_across)
        x0, x1 = _reach(columns[6], j0, j1)
        line, a_, c1_, c2_ = np.empty((x1 - x0) * k, z.dtype), a[member], c1[member], c2[member]
        for plane in range(depth[0]):
            for i in range(i0, i1):
                _gram_rows(z[member], k, axes, plane, i, x0, x1, line)
                target, line_total = gz[member, plane * rows[0] + i], depth[8][plane] * rows[8][i]
                for j in range(j0, j1):
                    y0, y1, y2, y3, y4, w0, w1, w2, w3, w4 = _gram_around(j, k, taps, weights, x0)
                    x, total = np.uint64(j * k), line_total * totals[j]
                    for c in range(channels):
                        mixed = (
                            w0 * line[y0 + c]
                            + w1 * line[y1 + c]
                            + w2 * line[y2 + c]
                            + w3 * line[y3 + c]
                            + w4 * line[y4 + c]
                        )
                        target[x + c] = a_[c] * target[x + c] + total * c1_[c] + c2_[c] * mixed
