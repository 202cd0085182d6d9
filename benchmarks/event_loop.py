"""The delay of napari's event loop while an image is fitted in the real window.

    python benchmarks/event_loop.py [--size 512] [--seconds 40]

A timer of 10 ms runs in the window's own event loop; the delay of each tick is the time that a click would have waited.
On a machine without a screen: tools/with-display python benchmarks/event_loop.py
"""

from __future__ import annotations

import argparse
import os
import time

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
import numpy as np
from qtpy.QtCore import QElapsedTimer, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_convgen.viewer.denoise.widget import DenoiseWidget

TICK = 10
"""Interval of the timer, in milliseconds. Chosen so that it is shorter than any delay that a user notices."""


class Lateness:
    """Measures the delays of a timer, in milliseconds."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._clock = QElapsedTimer()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._clock.start()
        self._timer.start(TICK)

    def _tick(self) -> None:
        self.values.append(max(0.0, self._clock.nsecsElapsed() / 1e6 - TICK))
        self._clock.restart()

    def report(self, what: str) -> None:
        """Print the delays since the last report and remove them."""
        late = np.array(self.values)
        print(f"{what}: {np.percentile(late, 95):.0f} ms late at the 95th percentile, {late.max():.0f} ms at worst")
        self.values.clear()


def wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.instance().processEvents()
        time.sleep(0.001)


def first_preview(widget: DenoiseWidget) -> float:
    """Press Run and return the seconds until an image is shown."""
    started = time.perf_counter()
    widget.run()
    while widget.session.layers is None or widget.session.layers.result is None:
        wait(0.005)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--threads", default="auto")
    arguments = parser.parse_args()

    n = arguments.size
    y, x = np.mgrid[:n, :n]
    clean = 100 + 60 * np.sin(x / 9) * np.cos(y / 13)
    noisy = np.random.default_rng(0).poisson(clean).astype(np.uint16)
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.add_image(noisy)
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise")
    widget._folded.editors["n_threads"].value = arguments.threads
    wait(2)
    lateness = Lateness()
    wait(5)
    lateness.report("idle")

    print(f"first preview after {first_preview(widget):.1f} s, PyTorch's loading included")
    lateness.report("loading PyTorch, to the first preview")
    widget.session.cancel()
    wait(2)
    lateness.values.clear()
    print(f"first preview after {first_preview(widget):.1f} s, PyTorch being loaded")
    lateness.report("to the first preview")
    wait(arguments.seconds)
    print(f"{widget._plot.n_steps} steps in {arguments.seconds:g} s")
    lateness.report(f"fitting {n} x {n} pixels")
    widget.session.cancel()
    wait(1)
    viewer.close()


if __name__ == "__main__":
    main()
