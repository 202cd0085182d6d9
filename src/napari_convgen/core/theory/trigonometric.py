"""The trigonometric basis, in which every circulant operator is diagonal."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from napari_convgen.errors import InputError


def trigonometric_basis(n: int, *, is_sorted: bool = False) -> Float[np.ndarray, "n n"]:
    r"""Return the orthonormal trigonometric functions on n samples, as columns.

    .. math::

        [w_{i+1}]_j = \frac{1}{\sqrt n} \begin{cases}
            1 & i = 0 \\ \sqrt 2 \cos(2\pi ij/n) & 0 < i < n/2 \\ (-1)^j & i = n/2 \\ \sqrt 2 \sin(2\pi ij/n) & n/2 < i < n
        \end{cases}

    with samples :math:`j = 0, \dots, n - 1`; an odd n has no function of :math:`i = n/2`.

    Parameters
    ----------
    n
        Number of samples, 1 or more.
    is_sorted
        True to sort by frequency, each cosine before the sine of the same frequency. False, the default, keeps the order of the
        definition: all cosines by rising frequency, then the sines by falling frequency. Its first p functions contain only cosines,
        so they do not span the low frequencies of signals that are not symmetric.

    Raises
    ------
    InputError
        n is less than 1.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, definition 1 and figure 3.
    """
    if n < 1:
        raise InputError(f"A trigonometric basis needs 1 or more samples, got {n}. Give the number of samples.")
    i, j = np.arange(n), np.arange(n)[:, None]
    # i·j is reduced modulo n first: for large products the angle would lose its accuracy.
    angles = 2 * np.pi * ((i * j) % n) / n
    basis = np.where(2 * i <= n, np.cos(angles), np.sin(angles)) * np.sqrt(2 / n)
    basis[:, 2 * i % n == 0] /= np.sqrt(2)
    order = np.argsort(frequencies(n), kind="stable") if is_sorted else np.arange(n)
    ordered: np.ndarray = basis[:, order]
    return ordered


def frequencies(n: int) -> Int[np.ndarray, "n"]:
    """Return the frequency of each function in the definition's order, which is also that of a DFT: ``min(i, n - i)`` periods."""
    i = np.arange(n)
    return np.minimum(i, n - i)
