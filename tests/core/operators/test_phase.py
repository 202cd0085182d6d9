"""Images of a phase object: as the formula says, point by point, and as they are known to be for weak objects."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_convgen.core.operators.microscopes import led_array, through_focus
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.optics.zernike import zernike
from napari_convgen.errors import InputError

OBJECTIVE = Objective(0.5, 0.52, 1.33)
SPACING = (0.3, 0.35)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def random_object(imaging, size=0.5):
    return size * torch.rand(imaging.in_shape, generator=source(), dtype=torch.float64)


def random_parameters(imaging):
    return 0.4 * torch.randn(imaging.n_parameters, generator=source(1), dtype=torch.float64)


IMAGINGS = {
    "through focus": lambda: through_focus(OBJECTIVE, SPACING, (-2.0, 0.5, 3.0), (8, 7), 4),
    "absorption": lambda: through_focus(OBJECTIVE, SPACING, (0.0, 3.0), (6, 7), 2, has_absorption=True),
    "lights": lambda: led_array(
        OBJECTIVE, SPACING, np.array([[0.0, 0.0], [0.3, -0.2]]), (4, 5), 3, 1, is_periodic=True
    ),
    "larger pixels": lambda: led_array(
        OBJECTIVE, (0.15, 0.175), np.array([[0.1, 0.0], [0.3, -0.2]]), (3, 4), 1, 2, has_absorption=True
    ),
}


def from_formula(imaging, x, parameters):
    """Return the images by sums over all frequencies and pixels, one after the other."""
    x, c, light = x.numpy(), parameters[:-1].numpy(), np.exp(float(parameters[-1]))
    sizes = [np.arange(n) - n // 2 for n in imaging.size]
    matrices = [np.exp(-2j * np.pi * np.outer(i, i) / len(i)) / np.sqrt(len(i)) for i in sizes]
    cell_row, cell_column = (1 / (len(i) * d) for i, d in zip(sizes, imaging.spacing, strict=True))
    wavelength, index, aperture = OBJECTIVE.wavelength, OBJECTIVE.refractive_index, OBJECTIVE.numerical_aperture
    absorption = x[1] if imaging.has_absorption else 0.0
    spectrum = matrices[0] @ np.exp(1j * x[0] - absorption) @ matrices[1].T
    images = []
    for z, (row, column) in zip(imaging.depths, imaging.waves, strict=True):
        passed = np.zeros_like(spectrum)
        for i, j in np.ndindex(*imaging.size):
            fr, fc = sizes[0][i] * cell_row + row / wavelength, sizes[1][j] * cell_column + column / wavelength
            f, angle = np.hypot(fr, fc), np.arctan2(fr, fc)
            width = np.hypot(np.sin(angle) * cell_row, np.cos(angle) * cell_column)
            share = np.clip((aperture / wavelength + width / 2 - f) / width, 0, 1) if f else 1.0
            within = min(f, aperture / wavelength)
            radius = wavelength * within / aperture
            delay = sum(cj * float(zernike(4 + n, *np.array([[radius], [angle]]))[0]) for n, cj in enumerate(c))
            delay += 2 * np.pi * z * (np.sqrt((index / wavelength) ** 2 - within**2) - index / wavelength)
            passed[i, j] = share * np.exp(1j * delay) * spectrum[i, j]
        intensity = light * np.abs(matrices[0].conj() @ passed @ matrices[1].conj().T) ** 2
        shown = intensity[imaging.view]
        f = imaging.factor
        images.append(shown.reshape(shown.shape[0] // f, f, shown.shape[1] // f, f).mean((1, 3)))
    return np.array(images)[None]


@pytest.mark.parametrize("name", IMAGINGS)
def test_images_are_those_of_the_formula(name):
    imaging = IMAGINGS[name]()
    x, parameters = random_object(imaging), random_parameters(imaging)
    images = imaging.joint(x, parameters)
    assert images.shape == imaging.out_shape
    np.testing.assert_allclose(images.numpy(), from_formula(imaging, x, parameters), atol=1e-12)
    model = imaging.model(parameters)
    torch.testing.assert_close(model.apply(x.float()), images.float(), atol=1e-5, rtol=1e-4)
    assert (model.entry_groups is None) == (not imaging.waves.any())


def test_a_moved_pupil_shows_what_an_oblique_wave_does_where_that_is_periodic():
    size = (24, 20)
    wave = [3 * OBJECTIVE.wavelength / (n * d) for n, d in zip(size, SPACING, strict=True)]
    oblique = led_array(OBJECTIVE, SPACING, np.array([wave]), size, 3, is_periodic=True)
    straight = led_array(OBJECTIVE, SPACING, np.zeros((1, 2)), size, 3, is_periodic=True)
    x, parameters = random_object(oblique), random_parameters(oblique)
    rows, columns = (3 * torch.arange(n, dtype=torch.float64) / n for n in size)
    tilted = x + 2 * torch.pi * (rows[:, None] + columns)
    torch.testing.assert_close(oblique.joint(x, parameters), straight.joint(tilted, parameters))


def test_images_of_a_part_are_those_of_the_whole_also_under_a_light_near_the_edge_of_the_aperture():
    spacing, light, n, around = (0.2, 0.2), np.array([[0.28, -0.28]]), 96, 80
    whole = led_array(OBJECTIVE, spacing, light, (n + 2 * around,) * 2, is_periodic=True)
    rng = np.random.default_rng(0)
    phase = gaussian_filter(rng.standard_normal(whole.size), 3, mode="wrap")
    phase = torch.from_numpy(phase / phase.std() / 2)[None]
    inside = (..., slice(around, -around), slice(around, -around))
    none = torch.zeros(1, dtype=torch.float64)
    expected = whole.joint(phase, none)[inside]
    part = led_array(OBJECTIVE, spacing, light, (n, n))
    assert max(part.margins) < around
    first = around - part.margins[0]
    seen = phase[:, first : first + part.size[0], first : first + part.size[1]]
    error = (part.joint(seen, none) - expected).square().mean().sqrt() / expected.mean()
    assert error < 0.04


@pytest.mark.parametrize("name", IMAGINGS)
def test_derivatives_are_those_of_autograd_and_of_differences(name):
    imaging = IMAGINGS[name]()
    x, parameters = random_object(imaging).requires_grad_(), random_parameters(imaging).requires_grad_()
    by = torch.randn(imaging.out_shape, generator=source(2), dtype=torch.float64)
    change = torch.randn(x.shape, generator=source(3), dtype=torch.float64)
    of_object, of_parameters = torch.autograd.grad((imaging.joint(x, parameters) * by).sum(), (x, parameters))
    x, parameters = x.detach(), parameters.detach()
    linear, slopes = imaging.linearized(x, parameters), imaging.parameter_slopes(x, parameters)
    torch.testing.assert_close(linear.adjoint(by), of_object)
    torch.testing.assert_close((slopes * by).flatten(1).sum(1), of_parameters)
    step = 1e-5
    difference = imaging.joint(x + step * change, parameters) - imaging.joint(x - step * change, parameters)
    torch.testing.assert_close(difference / (2 * step), linear.apply(change), atol=1e-8, rtol=1e-6)


def test_no_light_is_lost_between_planes_nor_by_aberrations():
    imaging = through_focus(OBJECTIVE, SPACING, (-3.0, 0.0, 4.0), (12, 10), 5, is_periodic=True)
    x = random_object(imaging)
    light = [imaging.joint(x, each).sum((0, 2, 3)) for each in (torch.zeros(6).double(), random_parameters(imaging))]
    gain = float(random_parameters(imaging)[-1].exp())
    torch.testing.assert_close(light[0], light[0][0].expand(3))
    torch.testing.assert_close(light[1], gain * light[0])
    assert light[0][0] < 120
    flat = imaging.joint(0 * x, torch.zeros(6).double())
    torch.testing.assert_close(flat, torch.ones_like(flat))


def test_a_weak_object_has_the_contrast_of_the_transfer_function_and_of_the_transport_of_intensity():
    n, periods, weak = 32, 3, 1e-4
    imaging = through_focus(OBJECTIVE, (0.3, 0.3), (-4.0, 0.0, 4.0, 0.05), (n, n), is_periodic=True)
    phase = weak * torch.cos(2 * torch.pi * periods * torch.arange(n, dtype=torch.float64) / n).expand(1, n, n)
    contrast = (imaging.joint(phase, torch.zeros(1).double()) - 1)[0]
    f, wavelength, index = periods / (n * 0.3), OBJECTIVE.wavelength, OBJECTIVE.refractive_index
    kappa = 2 * np.pi * (np.sqrt((index / wavelength) ** 2 - f**2) - index / wavelength)
    for image, z in zip(contrast, imaging.depths, strict=True):
        torch.testing.assert_close(image, -2 * np.sin(z * kappa) * phase[0], atol=10 * weak**2, rtol=0)
    laplacian = -((2 * np.pi * f) ** 2) * phase[0]
    slope = -laplacian * wavelength / (2 * np.pi * index)  # of the intensity along the axis
    torch.testing.assert_close(contrast[3] / 0.05, slope, atol=0.02 * float(slope.max()), rtol=0)


def test_the_conjugate_twin_is_told_apart_by_the_order_of_the_planes():
    imaging = through_focus(OBJECTIVE, SPACING, (-3.0, 1.0, 3.0), (8, 8), 8, is_periodic=True)
    x, parameters = random_object(imaging), random_parameters(imaging)
    twin = imaging.twin(parameters)
    one = imaging.joint(x, parameters)
    mirrored = through_focus(OBJECTIVE, SPACING, (3.0, -1.0, -3.0), (8, 8), 8, is_periodic=True)
    torch.testing.assert_close(mirrored.joint(-x, twin), one)
    assert (imaging.joint(-x, twin) - one).abs().max() > 0.1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: through_focus(OBJECTIVE, (0.6, 0.3), (1.0,), (9, 9)), "0.6 micrometers apart"),
        (lambda: through_focus(OBJECTIVE, (0.3,), (1.0,), (9, 9)), "along rows and columns"),
        (lambda: led_array(OBJECTIVE, SPACING, np.zeros(3), (9, 9)), "a direction each"),
        (lambda: led_array(OBJECTIVE, SPACING, np.zeros((1, 2)), (9, 9), factor=2), "0.7 micrometers apart"),
    ],
)
def test_what_shows_no_phase_is_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_lights_so_oblique_that_the_pixels_miss_what_they_show_are_refused():
    objective = Objective(0.1, 0.5, 1.0)
    with pytest.raises(InputError, match=r"up to 0\.2.*show up to 0\.025.*operator\.factor"):
        led_array(objective, (2.0, 2.0), np.array([[0.0, 0.2]]), (32, 32), 0)
    dark = led_array(objective, (0.8, 0.8), np.array([[0.0, 0.2]]), (32, 32), 0)
    empty = torch.zeros(dark.in_shape, dtype=torch.float64)
    assert float(dark.joint(empty, torch.zeros(1, dtype=torch.float64)).abs().max()) < 0.01
