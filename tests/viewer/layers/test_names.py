from types import SimpleNamespace

from napari.components import ViewerModel

from napari_convgen.viewer.layers.names import name_events


def test_names_that_come_go_and_change():
    viewer, told = ViewerModel(), []
    for event in name_events(viewer.layers):
        event.connect(lambda event: told.append(event.type))
    layer = viewer.add_points(name="first")
    layer.name = "second"
    viewer.layers.clear()
    assert told == ["inserted", "renamed", "removed"]


def test_a_napari_that_does_not_tell_new_names():
    events = SimpleNamespace(inserted="inserted", removed="removed")
    assert name_events(SimpleNamespace(events=events)) == ("inserted", "removed")
