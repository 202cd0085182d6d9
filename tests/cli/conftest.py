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


@pytest.fixture
def no_figures(monkeypatch):
    """Leave figures empty: to draw them takes longer than a small run."""
    for command in ("compare_fits", "spectrum"):
        monkeypatch.setattr(f"napari_convgen.cli.commands.{command}.write_figure", lambda path, panels: path.touch())
