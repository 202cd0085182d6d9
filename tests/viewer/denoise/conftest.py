import pytest

from napari_convgen.viewer.denoise.session import DenoiseSession


@pytest.fixture
def session(viewer, workers_end, qtbot):
    session = DenoiseSession(viewer)
    yield session
    session.cancel()
