import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Images this small are slower on more threads."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(n_threads)
