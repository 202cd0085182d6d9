import numpy as np

from napari_convgen.core.optics.zernike import FIRST, name_of, orders, zernike


def test_orders_are_those_of_nolls_table():
    table = {1: (0, 0), 2: (1, 1), 3: (1, -1), 4: (2, 0), 5: (2, -2), 6: (2, 2), 7: (3, -1), 8: (3, 1), 9: (3, -3)}
    table |= {10: (3, 3), 11: (4, 0), 12: (4, 2), 13: (4, -2), 14: (4, 4), 15: (4, -4), 16: (5, 1), 22: (6, 0)}
    assert {noll: orders(noll) for noll in table} == table


def test_polynomials_are_orthonormal_over_the_pupil():
    line = np.linspace(-1, 1, 401)
    rows, columns = np.meshgrid(line, line, indexing="ij")
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    inside = radius <= 1
    values = np.array([zernike(noll, radius[inside], angle[inside]) for noll in range(1, 16)])
    np.testing.assert_allclose(values @ values.T / inside.sum(), np.eye(15), atol=5e-3)


def test_some_are_as_they_are_written():
    r, t = np.array([0.3, 0.9]), np.array([0.4, -2.0])
    np.testing.assert_allclose(zernike(4, r, t), np.sqrt(3) * (2 * r**2 - 1))
    np.testing.assert_allclose(zernike(7, r, t), np.sqrt(8) * (3 * r**3 - 2 * r) * np.sin(t))
    np.testing.assert_allclose(zernike(11, r, t), np.sqrt(5) * (6 * r**4 - 6 * r**2 + 1))
    assert [name_of(noll) for noll in (FIRST, 11, 22)] == ["defocus", "spherical aberration", "Noll 22"]
