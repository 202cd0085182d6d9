import numpy as np
import pytest

from napari_convgen.core.theory.bounds import stopping_step, worst_terms
from napari_convgen.errors import InputError

WEIGHTS = np.geomspace(1, 1e-3, 40)
RATE = 0.4


def error_terms(x, z, step):
    """Norms of the part of a signal that is not fitted yet, and of the part of noise that is, by diagonal descent."""
    image_of_x = image_of_z = np.zeros(40)
    for _ in range(step):
        image_of_x = image_of_x + RATE * WEIGHTS * (x - image_of_x)
        image_of_z = image_of_z + RATE * WEIGHTS * (z - image_of_z)
    return np.linalg.norm(image_of_x - x), np.linalg.norm(image_of_z)


@pytest.mark.parametrize("p", [1, 5, 39])
def test_at_the_stopping_step_noise_is_drawn_as_far_as_the_bound_says(p):
    step = stopping_step(WEIGHTS, p, RATE)
    assert 1 - (1 - RATE * WEIGHTS[p]) ** step == pytest.approx(np.sqrt(p / 40))
    terms = worst_terms(WEIGHTS, RATE, p, 3.0, 2.0, step)
    assert terms.noise == pytest.approx(2 * np.sqrt(2 * p / 40))
    assert terms.signal == pytest.approx(3 * (1 - RATE * WEIGHTS[p - 1]) ** step)


def test_the_worst_terms_bound_those_of_any_signal_and_the_mean_noise():
    rng = np.random.default_rng(0)
    p = 6
    for step in (1, 4, 30):
        worst = worst_terms(WEIGHTS, RATE, p, 1.0, 1.0, step)
        energies = []
        for _ in range(400):
            x = np.zeros(40)
            x[:p] = rng.standard_normal(p)
            signal, noise = error_terms(x / np.linalg.norm(x), rng.standard_normal(40) / np.sqrt(40), step)
            assert signal <= worst.signal
            energies.append(noise**2)
        assert np.mean(energies) <= worst.noise**2


@pytest.mark.parametrize("p", [0, 40])
def test_a_signal_without_room_for_noise_is_refused(p):
    with pytest.raises(InputError, match=f"expected 1 to 39, got {p}"):
        stopping_step(WEIGHTS, p, RATE)
    with pytest.raises(InputError, match=f"expected 1 to 39, got {p}"):
        worst_terms(WEIGHTS, RATE, p, 1.0, 1.0, 1)


def test_no_noise_is_fitted_beyond_a_signal_that_has_all_weights():
    assert stopping_step(np.array([1.0, 0.5, 0.0, 0.0]), 2, 0.9) == np.inf
