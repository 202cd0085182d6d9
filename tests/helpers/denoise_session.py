"""Runs of a session of the denoise widget, as its tests start and look at them."""

from napari_convgen.viewer.denoise.request import DenoiseRequest
from napari_convgen.viewer.layers.door import read_layer
from napari_convgen.viewer.worker.session import State


def start(session, config, name="cells", **options):
    session.run(DenoiseRequest(read_layer(session.viewer.layers[name]), config, **options))


def run_to_end(session, qtbot, config, name="cells", **options):
    start(session, config, name, **options)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)


def names(session):
    return [layer.name for layer in session.viewer.layers]


def snapshot_at(session, step):
    return next(snapshot for snapshot in session.result.snapshots if snapshot.step == step)


def started(session):
    return session.state is State.RUNNING and session.layers.result is not None
