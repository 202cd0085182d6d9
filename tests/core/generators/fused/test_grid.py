import numpy as np
import pytest
import torch

from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.fused.grid import Axis, Grid, grids
from napari_convgen.core.generators.upsampling import KERNELS, half_size, upsample

N_FINE = [*range(1, 10), 16, 31]
SIZES = [(13,), (5, 8), (1, 9), (9, 1), (4, 3, 7), (1, 1, 1)]


def dense_matrix(size, kernel):
    """Of the upsampling to a size, pixels in the order of the memory."""
    coarse = half_size(size)
    identity = torch.eye(int(np.prod(coarse)), dtype=torch.float64).reshape(*coarse, -1)
    return upsample(identity, size, kernel).reshape(-1, identity.shape[-1]).numpy()


def upsampling(axis):
    """The matrix of the tables by pairs."""
    matrix = scattered(axis.taps.repeat(2, 0), axis.weights.reshape(-1, 3), axis.n_coarse)
    if axis.n_fine % 2:
        np.testing.assert_array_equal(matrix[-1], matrix[-2])
    return matrix[: axis.n_fine]


def scattered(taps, weights, n):
    """The matrix that a table stands for: its rows hold the weights at the taps."""
    matrix = np.zeros((len(taps), n))
    for row, (columns, values) in enumerate(zip(taps, weights, strict=True)):
        np.add.at(matrix[row], columns, values)
    return matrix


@pytest.mark.parametrize("n_fine", N_FINE)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_tables_of_an_axis_are_the_dense_matrix_and_its_transpose(kernel, n_fine):
    (n_coarse,) = half_size((n_fine,))
    axis, expected = Axis.of(n_coarse, n_fine, kernel), dense_matrix((n_fine,), kernel)
    assert (axis.n_coarse, axis.n_fine) == (n_coarse, n_fine)
    np.testing.assert_allclose(upsampling(axis), expected, rtol=0, atol=1e-15)
    for phase in range(2):
        back = scattered(axis.back_taps, axis.back_weights[..., phase], len(axis.taps))
        np.testing.assert_allclose(back[:, : len(expected[phase::2])], expected[phase::2].T, rtol=0, atol=1e-15)
        assert not back[:, len(expected[phase::2]) :].any()
    gram = scattered(axis.gram_taps, axis.gram_weights, n_coarse)
    np.testing.assert_allclose(gram, expected.T @ expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(axis.totals, expected.sum(0), rtol=0, atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("kernel", KERNELS)
def test_an_axis_that_is_not_upsampled_is_the_identity(kernel, n):
    axis = Axis.of(n, n, kernel)
    np.testing.assert_array_equal(upsampling(axis), np.eye(n))
    np.testing.assert_array_equal(scattered(axis.gram_taps, axis.gram_weights, n), np.eye(n))


@pytest.mark.parametrize("n_fine", N_FINE)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_tile_reaches_from_the_first_tap_of_its_first_sample_to_the_last_tap_of_its_last_one(kernel, n_fine):
    for n_coarse in {n_fine, *half_size((n_fine,))}:
        axis = Axis.of(n_coarse, n_fine, kernel)
        for taps in [axis.taps, axis.back_taps, axis.gram_taps]:
            assert (np.diff(taps, axis=0) >= 0).all()
            assert (np.diff(taps, axis=1) >= 0).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_axes_of_a_grid_together_are_the_upsampling(kernel, size):
    grid = Grid(half_size(size), size, kernel)
    assert [axis.n_fine for axis in grid.axes[: 3 - len(size)]] == [1] * (3 - len(size))
    depth, rows, columns = map(upsampling, grid.axes)
    np.testing.assert_allclose(np.kron(np.kron(depth, rows), columns), dense_matrix(size, kernel), rtol=0, atol=1e-15)
    assert (grid.n_fine, grid.n_coarse) == dense_matrix(size, kernel).shape


@pytest.mark.parametrize("extra_layer", ["none", "first", "last"])
@pytest.mark.parametrize("size", [(37,), (24, 9), (1, 40, 33)])
def test_each_layer_of_a_decoder_goes_from_its_grid_to_the_next_and_the_extra_one_stays(size, extra_layer):
    decoder = DeepDecoder(
        size,
        1,
        n_channels=2,
        n_scales=3,
        rngs=[torch.Generator()],
        kernel="smooth",
        extra_layer=extra_layer,
    )
    found = grids(decoder.sizes, decoder.kernel)
    coarsest = half_size(half_size(half_size(size)))
    expected = [(coarsest, coarsest)] * (extra_layer == "first")
    expected += [(coarsest, half_size(half_size(size)))]
    expected += [(half_size(half_size(size)), half_size(size)), (half_size(size), size)]
    expected += [(size, size)] * (extra_layer == "last")
    assert [(grid.coarse, grid.fine) for grid in found] == expected
    assert {grid.kernel for grid in found} == {"smooth"}
