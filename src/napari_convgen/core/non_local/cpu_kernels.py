"""The kernels of the non-local estimate on the CPU, compiled by Numba.

Kernels do the tasks from ``first`` to ``last``: lines of patches in `match`, groups in `gather`, matrices in `invert`.
"""

from __future__ import annotations

import numpy as np

from napari_convgen.core.cpu.compiled import compiled


@compiled
def match(first, last, image, size, reach, zs, ys, xs, places):
    """Find the patches of least distance to each patch of a line.

    The squared differences of two lines of pixels serve all patches of both lines: they are added up over the rows of a patch, and then
    along the line. The patches that are closest so far are in a heap, the farthest of them on top. Places that none fills, as where values
    are not finite, are the patch's own: others would lie outside the image.
    """
    depth, height, width = image.shape
    k, n_x = places.shape[1], len(xs)
    columns, distances = np.empty(width, image.dtype), np.empty(width, image.dtype)
    heap, heap_places = np.empty((n_x, k + 1), image.dtype), np.empty((n_x, k + 1), np.int32)
    farthest, n_found = np.empty(n_x, image.dtype), np.empty(n_x, np.int64)
    for task in range(first, last):
        z0, y0 = zs[task // len(ys)], ys[task % len(ys)]
        for r in range(n_x):  # the patch itself is always in
            n_found[r] = 1
            heap[r, 1] = -1
            for q in range(1, k + 1):
                heap_places[r, q] = (z0 * height + y0) * width + xs[r]
            farthest[r] = np.inf if k > 1 else -1
        for z in range(max(0, z0 - reach[0]), min(depth - size[0], z0 + reach[0]) + 1):
            for y in range(max(0, y0 - reach[1]), min(height - size[1], y0 + reach[1]) + 1):
                for dx in range(-reach[2], reach[2] + 1):
                    start = max(0, -dx)
                    n = width - abs(dx) - size[2] + 1  # patches that have one at this distance
                    if n < 1 or (z == z0 and y == y0 and dx == 0):
                        continue
                    _add_squares(image, size, z0, y0, z, y, start, dx, columns[: n + size[2] - 1])
                    for i in range(n):
                        distances[i] = columns[i]
                    for j in range(1, size[2]):
                        for i in range(n):
                            distances[i] += columns[i + j]
                    line = (z * height + y) * width + dx
                    for r in range(n_x):
                        i = xs[r] - start
                        if 0 <= i < n and distances[i] < farthest[r]:
                            _put(heap[r], heap_places[r], n_found, farthest, r, distances[i], line + xs[r])
        for r in range(n_x):
            for q in range(k):
                places[task * n_x + r, q] = heap_places[r, q + 1]


@compiled
def _add_squares(image, size, z0, y0, z, y, start, dx, columns):
    """Add up the squared differences of two lines of patches over the rows of a patch."""
    for i in range(len(columns)):
        columns[i] = 0
    for a in range(size[0]):
        for b in range(size[1]):
            here = image[z0 + a, y0 + b, start:]
            there = image[z + a, y + b, start + dx :]
            for i in range(len(columns)):
                difference = here[i] - there[i]
                columns[i] += difference * difference


@compiled
def _put(heap, heap_places, n_found, farthest, r, distance, place):
    """Put a patch into the heap of group ``r``, in the place of the farthest if the heap is full."""
    k = len(heap) - 1
    if n_found[r] < k:
        n_found[r] += 1
        q = n_found[r]
        while q > 1 and heap[q // 2] < distance:
            heap[q], heap_places[q] = heap[q // 2], heap_places[q // 2]
            q //= 2
    else:
        q = 1
        while 2 * q <= k:
            child = 2 * q
            if child < k and heap[child + 1] > heap[child]:
                child += 1
            if heap[child] <= distance:
                break
            heap[q], heap_places[q] = heap[child], heap_places[child]
            q = child
    heap[q], heap_places[q] = distance, place
    if n_found[r] == k:
        farthest[r] = heap[1]


@compiled
def gather(first, last, image, places, offsets, found, means):
    """Read the patches of each group, less their mean over the group."""
    k, n = places.shape[1], len(offsets)
    for g in range(first, last):
        mean = means[g]
        for j in range(n):
            mean[j] = 0
        for q in range(k):
            patch, place = found[g, q], places[g, q]
            for j in range(n):
                patch[j] = image[place + offsets[j]]
            for j in range(n):
                mean[j] += patch[j]
        for j in range(n):
            mean[j] /= k
        for q in range(k):
            patch = found[g, q]
            for j in range(n):
                patch[j] -= mean[j]


@compiled
def invert(first, last, matrices):
    """Invert symmetric positive definite matrices in place, by Gauss-Jordan elimination.

    It is done in a copy, whose rows are a multiple of the width of vectors of the CPU, and four rows at a time: a third of the time.
    """
    n = matrices.shape[1]
    height, width = (n + 3) // 4 * 4, (n + 7) // 8 * 8
    a, row = np.zeros((height, width), matrices.dtype), np.zeros(width, matrices.dtype)
    one = matrices.dtype.type(1)
    for m in range(first, last):
        for i in range(n):
            for j in range(n):
                a[i, j] = matrices[m, i, j]
        for c in range(n):
            factor = one / a[c, c]
            a[c, c] = one
            for j in range(width):
                row[j] = a[c, j] * factor
            for i in range(0, height, 4):
                a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
                factor0, factor1, factor2, factor3 = a0[c], a1[c], a2[c], a3[c]
                a0[c] = a1[c] = a2[c] = a3[c] = 0
                for j in range(width):
                    a0[j] = a0[j] - factor0 * row[j]
                    a1[j] = a1[j] - factor1 * row[j]
                    a2[j] = a2[j] - factor2 * row[j]
                    a3[j] = a3[j] - factor3 * row[j]
            for j in range(width):
                a[c, j] = row[j]
        for i in range(n):
            for j in range(n):
                matrices[m, i, j] = a[i, j]


@compiled
def scatter(places, offsets, estimates, noisy, means, noise_share, weights, sums):
    """Add estimates, their mixtures with the noisy patches, and weights to sums."""
    n_groups, k, n = estimates.shape
    for g in range(n_groups):
        ratio, mean = noise_share[g], means[g]
        for q in range(k):
            place, weight = places[g, q], weights[g, q]
            for j in range(n):
                at, x = place + offsets[j], estimates[g, q, j]
                sums[at, 0] += weight * (mean[j] + x)
                sums[at, 1] += weight * (mean[j] + x + ratio * (noisy[g, q, j] - x))
                sums[at, 2] += weight
