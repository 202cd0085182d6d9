"""The kernels of the passes on a GPU, compiled by Triton.

A program processes BLOCK_J coarse columns and BLOCK_K channels of a member at once, line by line: it computes u of a line, uses it and
never stores it. No two programs write to the same place, and each adds up its own sums, so the order in which they run does not change
the result.
"""
# mypy: allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl


class Axis(NamedTuple):
    """Upsampling along one axis.

    Attributes
    ----------
    n_coarse, n_fine
        Number of samples before and after upsampling.
    phases
        Weights of the coarse samples before, at and after the center, for the even and for the odd fine samples. A single phase with
        one weight if the axis is not upsampled. The number of phases is the number of fine samples for each coarse one.
    """

    n_coarse: int
    n_fine: int
    phases: tuple[tuple[float, ...], ...]


class Axes(NamedTuple):
    """Upsampling along all axes."""

    depth: Axis
    rows: Axis
    columns: Axis


@triton.jit
def _coarse(x, member, k, axes):
    """Return the address of a member in a tensor of coarse pixels."""
    return x + member.to(tl.int64) * axes.depth.n_coarse * axes.rows.n_coarse * axes.columns.n_coarse * k


@triton.jit
def _fine(x, member, k, axes):
    """Return the address of a member in a tensor of fine pixels."""
    return x + member.to(tl.int64) * axes.depth.n_fine * axes.rows.n_fine * axes.columns.n_fine * k


@triton.jit
def _start(i, axis):
    """Return the index of the first fine sample of a coarse one, clipped to the ends."""
    return tl.minimum(tl.maximum(i * len(axis.phases), 0), axis.n_fine)


@triton.jit
def _held(i, axis):
    """Return the index of a coarse sample, clipped to the ends."""
    return tl.minimum(tl.maximum(i, 0), axis.n_coarse - 1)


@triton.jit
def _weight(phase, t: tl.constexpr, axis):
    return axis.phases[0][t] if phase == 0 else axis.phases[len(axis.phases) - 1][t]


@triton.jit
def _share(center, phase, i, axis):
    """Return the weight of coarse sample i in the fine sample of a phase at a center."""
    share = 0.0
    for t in tl.static_range(len(axis.phases[0])):
        tap = _held(center + t - len(axis.phases[0]) // 2, axis)
        share += tl.where(tap == i, _weight(phase, t, axis), 0.0)
    return share


@triton.jit
def _channels(BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr):
    """Return a program's channels, for each of its columns."""
    return tl.broadcast_to(tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)[None, :], (BLOCK_J, BLOCK_K))


@triton.jit
def _load(x, i, k, c):
    """Return a number for each channel, from the row of a member or of an output."""
    return tl.load(x + i * k + c, mask=c < k, other=0.0)


@triton.jit
def _pixels(x, line, n, q, k, c):
    """Return the addresses of the channels of the pixels q on a line, for lines of n pixels and pixels of k channels."""
    return x + line.to(tl.int64) * n * k + (q.to(tl.int64)[:, None] * k + c)


@triton.jit
def _outputs(x, o, axes, d, h, q):
    """Return the addresses of output o, counted over all members, at the fine columns q of the line (d, h)."""
    line = (o * axes.depth.n_fine + d) * axes.rows.n_fine + h
    return x + line.to(tl.int64) * axes.columns.n_fine + q


@triton.jit
def _line(z, k, axes, d, h, j, c):
    """Upsample along depth and rows to the fine line (d, h), at the coarse columns j, clipped to the ends."""
    depth, rows, columns = axes
    column = z + (_held(j, columns).to(tl.int64)[:, None] * k + c)
    total = 0.0
    for s in tl.static_range(len(depth.phases[0])):
        plane = _held(d // len(depth.phases) + s - len(depth.phases[0]) // 2, depth)
        plane_weight = _weight(d % len(depth.phases), s, depth)
        for t in tl.static_range(len(rows.phases[0])):
            line = plane * rows.n_coarse + _held(h // len(rows.phases) + t - len(rows.phases[0]) // 2, rows)
            weight = plane_weight * _weight(h % len(rows.phases), t, rows)
            total += weight * tl.load(column + line.to(tl.int64) * columns.n_coarse * k, mask=c < k, other=0.0)
    return total


@triton.jit
def _around(z, k, axes, d, h, j, c):
    """Return the fine line (d, h) left of the coarse columns j, at them, and right of them."""
    reach: tl.constexpr = len(axes.columns.phases[0]) // 2
    left, right = _line(z, k, axes, d, h, j - reach, c), _line(z, k, axes, d, h, j + reach, c)
    return left, _line(z, k, axes, d, h, j, c), right


@triton.jit
def _upsample(left, middle, right, phase: tl.constexpr, columns):
    """Return u at the fine columns of a phase, from the line around their centers."""
    weights = columns.phases[phase]
    return weights[0] * left + weights[1] * middle + weights[2] * right if len(weights) > 1 else middle


@triton.jit
def _gradient(g, o, k, axes, d, h, q, c, FEATURES: tl.constexpr):
    """Return the gradient of member o's features, or that of output o, at the fine columns q; 0 beyond the ends."""
    inside = (q >= 0) & (q < axes.columns.n_fine)
    if FEATURES:
        source = _pixels(_fine(g, o, k, axes), d * axes.rows.n_fine + h, axes.columns.n_fine, q, k, c)
        gradient = tl.load(source, mask=inside[:, None] & (c < k), other=0.0)
    else:
        gradient = tl.load(_outputs(g, o, axes, d, h, q), mask=inside, other=0.0)[:, None]
    return gradient


@triton.jit
def _strip(strip, axes, BLOCK_J: tl.constexpr):
    """Return the fine plane and row of a strip, a line's part over BLOCK_J coarse columns, and those columns."""
    n_lines = axes.depth.n_fine * axes.rows.n_fine
    d, h = strip % n_lines // axes.rows.n_fine, strip % axes.rows.n_fine
    return d, h, strip // n_lines * BLOCK_J + tl.arange(0, BLOCK_J)


@triton.jit
def _store_sums(sums, k, sum1, sum2):
    """Write a program's sums over its columns."""
    c = _channels(1, sum1.shape[1])
    o, n_outputs = tl.program_id(2), tl.num_programs(2)
    target = sums + (tl.program_id(0) * 2 * n_outputs + o) * k + c
    tl.store(target, tl.sum(sum1, 0, keep_dims=True), mask=c < k)
    tl.store(target + n_outputs * k, tl.sum(sum2, 0, keep_dims=True), mask=c < k)


@triton.jit
def moments(z, k, axes, n_each, low, shift, sums, BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr):
    """Sum r − shift and its square over the fine pixels, r = max(u, low)."""
    member = tl.program_id(2)
    z = _coarse(z, member, k, axes)
    c = _channels(BLOCK_J, BLOCK_K)
    shift_ = _load(shift, member, k, c)
    sum1 = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
    sum2 = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
    for strip in range(tl.program_id(0) * n_each, (tl.program_id(0) + 1) * n_each):
        d, h, j = _strip(strip, axes, BLOCK_J)
        left, middle, right = _around(z, k, axes, d, h, j, c)
        for phase in tl.static_range(len(axes.columns.phases)):
            q = j * len(axes.columns.phases) + phase
            u = _upsample(left, middle, right, phase, axes.columns)
            r = tl.where(u <= low, low, u) - shift_
            r = tl.where((q < axes.columns.n_fine)[:, None], r, 0.0)
            sum1 += r
            sum2 += r * r
    _store_sums(sums, k, sum1, sum2)


@triton.jit
def features(z, k, axes, n_each, low1, low2, a, b, out, BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr):
    """Write the features max(a r + b, low2)."""
    member = tl.program_id(2)
    z, out = _coarse(z, member, k, axes), _fine(out, member, k, axes)
    c = _channels(BLOCK_J, BLOCK_K)
    a_, b_ = _load(a, member, k, c), _load(b, member, k, c)
    for strip in range(tl.program_id(0) * n_each, (tl.program_id(0) + 1) * n_each):
        d, h, j = _strip(strip, axes, BLOCK_J)
        left, middle, right = _around(z, k, axes, d, h, j, c)
        for phase in tl.static_range(len(axes.columns.phases)):
            q = j * len(axes.columns.phases) + phase
            u = _upsample(left, middle, right, phase, axes.columns)
            v = a_ * tl.where(u <= low1, low1, u) + b_
            target = _pixels(out, d * axes.rows.n_fine + h, axes.columns.n_fine, q, k, c)
            tl.store(target, tl.where(v <= low2, low2, v), mask=(q < axes.columns.n_fine)[:, None] & (c < k))


@triton.jit
def output(z, k, axes, n_each, low1, low2, a, b, w, n_outputs, out, BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr):
    """Write the sums over channels of w times the features; a program writes one output."""
    o = tl.program_id(2)
    member = o // n_outputs
    z = _coarse(z, member, k, axes)
    for strip in range(tl.program_id(0) * n_each, (tl.program_id(0) + 1) * n_each):
        d, h, j = _strip(strip, axes, BLOCK_J)
        for phase in tl.static_range(len(axes.columns.phases)):
            q = j * len(axes.columns.phases) + phase
            total = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
            for start in range(0, k, BLOCK_K):
                c = start + _channels(BLOCK_J, BLOCK_K)
                left, middle, right = _around(z, k, axes, d, h, j, c)
                u = _upsample(left, middle, right, phase, axes.columns)
                v = _load(a, member, k, c) * tl.where(u <= low1, low1, u) + _load(b, member, k, c)
                total += _load(w, o, k, c) * tl.where(v <= low2, low2, v)
            tl.store(_outputs(out, o, axes, d, h, q), tl.sum(total, 1), mask=q < axes.columns.n_fine)


@triton.jit
def gradient_sums(
    z, k, axes, n_each, low1, low2, a, b, g, n_outputs, sums, BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr
):
    """Sum m g and m g r, for the gradient g of an output, or of the features if n_outputs is None; m is 1 where the ReLU passes."""
    o = tl.program_id(2)
    member = o if n_outputs is None else o // n_outputs
    z = _coarse(z, member, k, axes)
    c = _channels(BLOCK_J, BLOCK_K)
    a_, b_ = _load(a, member, k, c), _load(b, member, k, c)
    sum1 = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
    sum2 = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
    for strip in range(tl.program_id(0) * n_each, (tl.program_id(0) + 1) * n_each):
        d, h, j = _strip(strip, axes, BLOCK_J)
        left, middle, right = _around(z, k, axes, d, h, j, c)
        for phase in tl.static_range(len(axes.columns.phases)):
            q = j * len(axes.columns.phases) + phase
            gradient = _gradient(g, o, k, axes, d, h, q, c, n_outputs is None)
            u = _upsample(left, middle, right, phase, axes.columns)
            r = tl.where(u <= low1, low1, u)
            masked = tl.where(a_ * r + b_ > low2, gradient, 0.0)
            sum1 += masked
            sum2 += masked * r
    _store_sums(sums, k, sum1, sum2)


@triton.jit
def _line_adjoint(z, member, k, axes, norm, g, w, n_outputs, d, h, j, c):
    """Return the contribution of the fine line (d, h) to the gradient at the coarse columns j."""
    low1, low2, a, b, c1, c2 = norm
    columns = axes.columns
    reach: tl.constexpr = len(columns.phases[0]) // 2
    middle, right = _line(z, k, axes, d, h, j - 2 * reach, c), _line(z, k, axes, d, h, j - reach, c)
    total = 0.0
    for offset in tl.static_range(-reach, reach + 1):
        left, middle, right = middle, right, _line(z, k, axes, d, h, j + offset + reach, c)
        for phase in tl.static_range(len(columns.phases)):
            q = (j + offset) * len(columns.phases) + phase
            u = _upsample(left, middle, right, phase, columns)
            r = tl.where(u <= low1, low1, u)
            if w is None:
                gradient = _gradient(g, member, k, axes, d, h, q, c, True)
            else:
                gradient = tl.zeros_like(u)
                for o in range(member * n_outputs, (member + 1) * n_outputs):
                    gradient += _load(w, o, k, c) * _gradient(g, o, k, axes, d, h, q, c, False)
            inner = tl.where(a * r + b > low2, a * gradient, 0.0) + c1 + c2 * r
            share = tl.where((q >= 0) & (q < columns.n_fine), _share(j + offset, phase, j, columns), 0.0)
            total += share[:, None] * tl.where(u > low1, inner, 0.0)
    return total


@triton.jit
def adjoint(
    z, k, axes, n_rows, low1, low2, a, b, c1, c2, g, w, n_outputs, gz, BLOCK_J: tl.constexpr, BLOCK_K: tl.constexpr
):
    """Write the gradient with respect to z, given that of the outputs with weights w, or of the features if w is None.

    A program processes n_rows coarse rows, one below the other. A fine row contributes to the coarse rows above it, at it and below it.
    """
    depth, rows, columns = axes
    reach: tl.constexpr = len(axes.rows.phases[0]) // 2
    depth_reach: tl.constexpr = len(axes.depth.phases[0]) // 2
    member = tl.program_id(2)
    z, gz = _coarse(z, member, k, axes), _coarse(gz, member, k, axes)
    c = _channels(BLOCK_J, BLOCK_K)
    a_, b_, c1_, c2_ = _load(a, member, k, c), _load(b, member, k, c), _load(c1, member, k, c), _load(c2, member, k, c)
    norm = low1, low2, a_, b_, c1_, c2_
    n_down = tl.cdiv(rows.n_coarse, n_rows)
    first = tl.program_id(0) % n_down * n_rows
    end = tl.minimum(first + n_rows, rows.n_coarse)
    plane = tl.program_id(0) // n_down % depth.n_coarse
    j = tl.program_id(0) // n_down // depth.n_coarse * BLOCK_J + tl.arange(0, BLOCK_J)
    above = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
    here = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
    below = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
    for i in range(first - reach, end + reach):
        for h in range(_start(i, rows), _start(i + 1, rows)):
            line = tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
            for d in range(_start(plane - depth_reach, depth), _start(plane + depth_reach + 1, depth)):
                share = _share(d // len(depth.phases), d % len(depth.phases), plane, depth)
                line += share * _line_adjoint(z, member, k, axes, norm, g, w, n_outputs, d, h, j, c)
            above += _share(i, h % len(rows.phases), i - 1, rows) * line
            here += _share(i, h % len(rows.phases), i, rows) * line
            below += _share(i, h % len(rows.phases), i + 1, rows) * line
        if i - reach >= first:
            target = _pixels(gz, plane * rows.n_coarse + i - reach, columns.n_coarse, j, k, c)
            inside = (j < columns.n_coarse)[:, None] & (c < k)
            tl.store(target, above if reach > 0 else here, mask=inside)
        above, here, below = here, below, tl.zeros((BLOCK_J, BLOCK_K), z.dtype.element_ty)
