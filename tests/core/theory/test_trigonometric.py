import numpy as np
import pytest

from napari_convgen.core.theory.trigonometric import frequencies, trigonometric_basis
from napari_convgen.errors import InputError


@pytest.mark.parametrize("n", [1, 2, 7, 12])
def test_the_basis_is_orthonormal_and_diagonalizes_a_circulant_matrix(n):
    basis = trigonometric_basis(n)
    np.testing.assert_allclose(basis.T @ basis, np.eye(n), atol=1e-12)
    row = np.random.default_rng(0).random(n)
    row = row + np.roll(row[::-1], 1)  # symmetric
    circulant = np.stack([np.roll(row, i) for i in range(n)])
    diagonal = basis.T @ circulant @ basis
    np.testing.assert_allclose(diagonal, np.diag(np.fft.fft(row).real), atol=1e-12)


def test_functions_come_in_the_order_of_the_definition():
    n = 8
    j = np.arange(n)
    basis = trigonometric_basis(n)
    np.testing.assert_allclose(basis[:, 0], 8**-0.5)
    np.testing.assert_allclose(basis[:, 3], np.cos(2 * np.pi * 3 * j / n) / 2, atol=1e-14)
    np.testing.assert_allclose(basis[:, 4], (-1.0) ** j / 8**0.5)
    np.testing.assert_allclose(basis[:, 5], np.sin(2 * np.pi * 5 * j / n) / 2, atol=1e-14)


@pytest.mark.parametrize("n", [7, 8])
def test_sorted_functions_have_rising_frequencies(n):
    basis = trigonometric_basis(n, is_sorted=True)
    strongest = np.abs(np.fft.rfft(basis, axis=0)).argmax(0)
    np.testing.assert_array_equal(strongest, sorted(frequencies(n)))
    np.testing.assert_allclose(abs(basis[0]) > 1e-9, [i % 2 == 1 or i in (0, n - 1 + n % 2) for i in range(n)])


def test_no_samples_are_refused():
    with pytest.raises(InputError, match="1 or more samples, got 0"):
        trigonometric_basis(0)
