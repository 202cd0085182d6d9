import numpy as np
import pytest

from napari_convgen.core.theory.kernels import normalized, triangular
from napari_convgen.reproduction.two_layer import descend, signal_and_noise, two_layer


def test_descent_is_that_of_the_gradient_written_out():
    n, k, rate = 10, 6, 0.3
    kernel = normalized(triangular((n,), 3))
    y = np.random.default_rng(0).standard_normal(n)
    generator = two_layer(kernel, y, k, seed=1)
    u = np.stack([np.roll(kernel, i) for i in range(n)], 1)
    v, c = generator.output_weights.numpy(), generator.weights.detach()[0].numpy().copy()
    for image in descend(generator, y, rate, 5):
        np.testing.assert_allclose(image, np.maximum(u @ c, 0) @ v, atol=1e-12)
        c -= rate * u.T @ (np.outer(image - y, v) * (u @ c > 0))


def test_signal_and_noise_have_their_norms_and_the_signal_low_frequencies():
    signal, noise = signal_and_noise(1000, 5, 0.5, seed=0)
    assert np.linalg.norm(signal) == pytest.approx(1)
    assert np.linalg.norm(noise) == pytest.approx(0.5, rel=0.05)
    spectrum = np.abs(np.fft.rfft(signal))
    assert spectrum[:3].min() > 1e3 * spectrum[3:].max()
