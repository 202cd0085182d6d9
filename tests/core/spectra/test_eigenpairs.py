import pytest
import torch

from napari_convgen.core.spectra.eigenpairs import largest_eigenpairs


def operator(n=80, decay=0.8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    vectors = torch.linalg.qr(torch.randn((n, n), generator=rng, dtype=torch.float64))[0]
    values = decay ** torch.arange(n, dtype=torch.float64)
    return values, vectors, (vectors * values) @ vectors.T


def test_they_are_the_eigenpairs_of_the_dense_matrix():
    values, vectors, k = operator()
    found, pairs = largest_eigenpairs(lambda v: k @ v, k[0], 12, 2, torch.Generator().manual_seed(1))
    assert torch.allclose(found, values[:12], rtol=1e-4)
    assert torch.allclose((pairs * vectors[:, :12]).sum(0).abs(), torch.ones(12, dtype=torch.float64), atol=1e-3)
    assert torch.allclose(pairs.T @ pairs, torch.eye(12, dtype=torch.float64), atol=1e-12)


def test_more_passes_come_closer():
    values, _, k = operator(decay=0.95)
    errors = [
        float(
            (largest_eigenpairs(lambda v: k @ v, k[0], 10, q, torch.Generator().manual_seed(1))[0] - values[:10]).norm()
        )
        for q in (1, 2, 4)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_no_more_pairs_are_given_than_there_are():
    values, _, k = operator(6)
    found, pairs = largest_eigenpairs(lambda v: k @ v, k[0], 12, 1, torch.Generator().manual_seed(1))
    assert found.tolist() == pytest.approx(values.tolist())
    assert pairs.shape == (6, 6)
