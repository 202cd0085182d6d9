"""Zernike polynomials: the aberrations of a round pupil, in the order and with the signs of Noll."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

FIRST = 4
"""Noll's number of the first aberration, defocus: the three before it are no light lost but a constant, and two shifts of the image."""

NAMES = (
    "defocus",
    "oblique astigmatism",
    "vertical astigmatism",
    "vertical coma",
    "horizontal coma",
    "vertical trefoil",
    "oblique trefoil",
    "spherical aberration",
    "vertical secondary astigmatism",
    "oblique secondary astigmatism",
    "vertical quadrafoil",
    "oblique quadrafoil",
)
"""Names of the aberrations from `FIRST`, as far as they have one that is in use."""


def name_of(noll: int) -> str:
    """Return the name of an aberration, or its number where it has no name in use."""
    return NAMES[noll - FIRST] if FIRST <= noll < FIRST + len(NAMES) else f"Noll {noll}"


def orders(noll: int) -> tuple[int, int]:
    """Return the radial order n and the azimuthal order m, below 0 for a sine, of one of Noll's numbers.

    Parameters
    ----------
    noll
        Number, from 1.

    References
    ----------
    Noll, "Zernike polynomials and atmospheric turbulence", J. Opt. Soc. Am. 66, 1976, table I.
    """
    n = math.isqrt(8 * noll - 7) // 2 - (math.isqrt(8 * noll - 7) % 2 == 0)
    while n * (n + 1) // 2 >= noll:
        n -= 1
    while (n + 1) * (n + 2) // 2 < noll:
        n += 1
    place = noll - n * (n + 1) // 2 - 1
    m = 2 * ((place + 1) // 2) if n % 2 == 0 else 2 * (place // 2) + 1
    return n, m if noll % 2 == 0 else -m


def zernike(
    noll: int, radius: Float[np.ndarray, "*shape"], angle: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    r"""Return a Zernike polynomial with a root mean square of 1 over the unit disk.

    .. math:: Z = \sqrt{n + 1} \, R_n^{|m|}(r) \cdot \begin{cases} 1 & m = 0 \\ \sqrt 2 \cos m \theta & m > 0 \\
        \sqrt 2 \sin |m| \theta & m < 0 \end{cases}

    Parameters
    ----------
    noll
        Noll's number, from 1.
    radius
        Distance from the center, 1 at the edge of the pupil.
    angle
        Angle from the horizontal axis in radians.

    References
    ----------
    Noll 1976, equations 1 to 3; see `orders`.
    """
    n, signed = orders(noll)
    m = abs(signed)
    radial = np.zeros_like(radius)
    for s in range((n - m) // 2 + 1):
        factor = math.factorial(n - s) / (
            math.factorial(s) * math.factorial((n + m) // 2 - s) * math.factorial((n - m) // 2 - s)
        )
        radial += (-1) ** s * factor * radius ** (n - 2 * s)
    around = np.ones_like(angle) if m == 0 else math.sqrt(2) * (np.cos if signed > 0 else np.sin)(m * angle)
    values: Float[np.ndarray, "*shape"] = math.sqrt(n + 1) * radial * around
    return values
