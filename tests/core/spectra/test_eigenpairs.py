import pytest
import torch

from napari_convgen.core.pace import finish
from napari_convgen.core.spectra.eigenpairs import n_eigenpair_products, paced_eigenpairs


def operator(n=80, decay=0.8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    vectors = torch.linalg.qr(torch.randn((n, n), generator=rng, dtype=torch.float64))[0]
    values = decay ** torch.arange(n, dtype=torch.float64)
    return values, vectors, (vectors * values) @ vectors.T


def find(k, rank, n_passes):
    return finish(paced_eigenpairs(lambda v: k @ v, k[0], rank, n_passes, torch.Generator().manual_seed(1)))


def test_they_are_the_eigenpairs_of_the_dense_matrix():
    values, vectors, k = operator()
    pairs = find(k, 12, 4)
    assert torch.allclose(pairs.values, values[:12], rtol=1e-6)
    assert torch.allclose((pairs.vectors * vectors[:, :12]).sum(0).abs(), torch.ones(12, dtype=torch.float64))
    assert torch.allclose(pairs.vectors.T @ pairs.vectors, torch.eye(12, dtype=torch.float64), atol=1e-12)


def test_more_passes_come_closer_and_the_errors_say_how_close():
    values, _, k = operator(decay=0.95)
    found = [find(k, 10, q) for q in (1, 2, 4)]
    errors = [float((pairs.values - values[:10]).norm()) for pairs in found]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    for pairs in found:
        assert torch.allclose(pairs.residuals, k @ pairs.vectors - pairs.vectors * pairs.values, atol=1e-12)
        nearest = (pairs.values[:, None] - values).abs().amin(1)
        assert (nearest <= pairs.errors).all()
        assert (pairs.errors > 0).all()


def test_what_is_removed_is_what_the_vectors_span():
    _, _, k = operator()
    pairs = find(k, 5, 2)
    rest = pairs.remove(k[3])
    assert torch.allclose(pairs.vectors.T @ rest, torch.zeros(5, dtype=torch.float64), atol=1e-12)
    assert torch.linalg.matrix_rank(torch.column_stack([pairs.vectors, k[3] - rest])) == 5


def test_no_more_pairs_are_given_than_there_are():
    values, _, k = operator(6)
    pairs = find(k, 12, 1)
    assert pairs.values.tolist() == pytest.approx(values.tolist())
    assert pairs.vectors.shape == (6, 6)


def test_it_pauses_after_each_product():
    _, _, k = operator(30)
    n_products = 0

    def apply(vector):
        nonlocal n_products
        n_products += 1
        return k @ vector

    computation = paced_eigenpairs(apply, k[0], 4, 2, torch.Generator().manual_seed(1))
    pauses = [n_products for _ in computation]
    assert pauses == list(range(1, n_eigenpair_products(30, 4, 2) + 1))
