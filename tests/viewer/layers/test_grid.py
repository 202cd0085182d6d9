import numpy as np
import pytest
from napari.components import ViewerModel

from napari_convgen.viewer.layers.grid import SideBySide


@pytest.fixture
def viewer():
    model = ViewerModel()
    for name in ("noisy", "one", "two"):
        model.add_image(np.random.default_rng(0).random((8, 9)), name=name)
    return model


def cells(viewer):
    grid = viewer.canvas.grid
    return [grid.position(i, viewer.layers) for i in range(len(viewer.layers))]


def test_layers_lie_side_by_side_in_their_order(viewer):
    viewer.canvas.grid.stride = 2
    SideBySide(viewer).show()
    assert cells(viewer) == [(0, 0), (0, 1), (1, 0)]


def test_everything_comes_back_as_it_was(viewer):
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    grid.stride, grid.shape = 2, (1, 4)
    camera.zoom, camera.center = 7.5, (0, 2, 3)
    before = grid.model_dump(), camera.zoom, camera.center, camera.angles
    view = SideBySide(viewer)
    view.show()
    assert grid.enabled
    assert camera.zoom != 7.5
    view.undo()
    assert (grid.model_dump(), camera.zoom, camera.center, camera.angles) == before


def test_the_view_stays_where_the_user_moved_it_while_the_grid_keeps_its_shape(viewer):
    view = SideBySide(viewer)
    view.show()
    viewer.scene.camera.zoom = 3.25
    viewer.add_image(np.zeros((8, 9)))
    view.show()
    assert viewer.scene.camera.zoom == 3.25
    viewer.add_image(np.zeros((8, 9)))
    view.show()
    assert viewer.scene.camera.zoom != 3.25


def grid_and_camera(viewer):
    camera = viewer.scene.camera
    return (
        viewer.canvas.grid.model_dump(),
        camera.zoom,
        camera.center,
        [each.name_overlay.visible for each in viewer.layers],
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_the_last_of_several_runs_that_is_undone_turns_the_grid_off(viewer, order):
    viewer.scene.camera.zoom = 7.5
    before = grid_and_camera(viewer)
    views = [SideBySide(viewer) for _ in order]
    for view in views:
        view.show()
    first, second, third = (views[i] for i in order)
    first.undo()
    second.undo()
    assert viewer.canvas.grid.enabled
    third.undo()
    assert grid_and_camera(viewer) == before


def test_a_run_that_stays_keeps_the_grid_on(viewer):
    cancelled, finished = SideBySide(viewer), SideBySide(viewer)
    cancelled.show()
    finished.show()
    cancelled.undo()
    assert viewer.canvas.grid.enabled


def test_a_run_that_has_shown_nothing_changes_nothing(viewer):
    view = SideBySide(viewer)
    viewer.scene.camera.zoom = 3.25
    view.undo()
    assert viewer.scene.camera.zoom == 3.25


def test_each_viewer_has_a_grid_of_its_own(viewer):
    other = ViewerModel()
    views = SideBySide(viewer), SideBySide(other)
    for view in views:
        view.show()
    views[0].undo()
    assert not viewer.canvas.grid.enabled
    assert other.canvas.grid.enabled
