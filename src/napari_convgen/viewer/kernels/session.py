"""The exploration of a kernel for one viewer: which layer it is bound to, and the layer that previews the filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_convgen.core.image import ArrayLike
from napari_convgen.errors import ConvgenError, InputError
from napari_convgen.figures.panel import Panel
from napari_convgen.run.kernels.panels import SHOWN, all_panels, bound_words, prediction_words
from napari_convgen.run.kernels.run import STEPS, Exploration, KernelChoice, Kind, explore
from napari_convgen.viewer.layers.door import put_report
from napari_convgen.viewer.layers.own_layers import OwnLayers
from napari_convgen.viewer.layers.shown_frame import ShownFrame, shown_frame
from napari_convgen.viewer.worker.job import notify
from napari_convgen.viewer.worker.latest import Latest

if TYPE_CHECKING:
    from napari.components import ViewerModel

STEP_WITHOUT_IMAGE = 100.0
"""Step that is shown where no best one is known."""

PLACEMENT = ("data", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""Events of a layer after which its preview is not right any more."""


@dataclass(frozen=True)
class KernelSettings:
    """Settings of an exploration, see `napari_convgen.run.kernels.run`.

    Attributes
    ----------
    kind
        Kind of the kernel.
    width
        Width of the kernel in pixels; of a custom one it is not used.
    taps
        Name of the layer with a custom kernel's taps; ``None`` if none is chosen.
    length
        Length of the signal in samples.
    sigma
        Standard deviation of the noise in the image's units, or ``"auto"`` to estimate it.
    signal_share
        Share of the basis functions that the signal is taken to lie in, 0 to 1.
    functions
        Numbers of the basis functions that are shown, from 1.
    """

    kind: Kind = "triangle"
    width: float = 5.0
    taps: str | None = None
    length: int = 300
    sigma: float | Literal["auto"] = "auto"
    signal_share: float = 0.05
    functions: tuple[int, ...] = SHOWN


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be explored, as it was when it was asked for.

    Attributes
    ----------
    settings
        Settings of the exploration.
    taps
        Taps of a custom kernel; ``None`` for other kernels.
    frame
        Frame that is explored; ``None`` without a layer.
    """

    settings: KernelSettings
    taps: ArrayLike | None = None
    frame: ShownFrame | None = None

    @cached_property
    def exploration(self) -> Exploration:
        """Exploration, computed when it is first asked for: in the worker's thread, where torch is loaded too."""
        settings = self.settings
        choice = KernelChoice(settings.kind, settings.width, None if self.taps is None else np.asarray(self.taps))
        frame = None if self.frame is None else self.frame.read()
        return explore(choice, settings.length, frame, settings.sigma, settings.signal_share)


@dataclass(frozen=True, eq=False)
class Answer:
    """What there is to show at a step, or the error that left nothing.

    Attributes
    ----------
    request
        What was asked for; ``None`` before anything was.
    step
        Step that is shown.
    best
        Step of the smallest predicted error; ``None`` without an image.
    panels
        Panels by the name of their tab.
    prediction, bound
        Sentences about the prediction, and about the bound of theorem 1.
    preview
        Filtered frame; ``None`` if it is not wanted.
    error
        Error that left nothing to show; ``None`` if there was none.
    """

    request: Request | None = None
    step: float = STEP_WITHOUT_IMAGE
    best: float | None = None
    panels: Mapping[str, Sequence[Panel]] = field(default_factory=dict)
    prediction: Sequence[str] = ()
    bound: Sequence[str] = ()
    preview: NDArray[Any] | None = None
    error: Exception | None = None


def find_answer(request: Request, step: float | None, has_preview: bool) -> Answer:
    """Explore, unless it is done already, and show a step, the best by default."""
    try:
        exploration = request.exploration
        prediction = exploration.prediction
        best = None if prediction is None else float(STEPS[prediction.best])
        if step is None:
            step = STEP_WITHOUT_IMAGE if best is None else best
        return Answer(
            request,
            step,
            best,
            all_panels(exploration, step, request.settings.functions),
            prediction_words(exploration, step),
            bound_words(exploration),
            prediction.denoise(step) if has_preview and prediction is not None else None,
        )
    except Exception as error:
        return Answer(request, error=error)


class ExplorerSession:
    """Explores a kernel on the layer it is bound to, and keeps a preview of what the filter makes of that layer.

    It is bound to the image layer that was active last, its own preview excepted, until that is removed.

    Parameters
    ----------
    viewer
        The viewer whose layers are read and added to.

    Attributes
    ----------
    settings
        Settings of the exploration.
    layer
        Layer that it is bound to; ``None`` if there is none.
    has_preview
        True if a preview is wanted; the default.
    step
        Step that is wanted; ``None`` for the best.
    answer
        Latest answer.
    """

    bound = Signal()
    answered = Signal(object)  # Answer
    preview_removed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.settings = KernelSettings()
        self.layer: Image | None = None
        self._preview: Image | None = None
        self._own = OwnLayers(viewer)
        self.has_preview = True
        self.step: float | None = None
        self.answer = Answer()
        self._request: Request | None = None
        self._latest = Latest(self._show)
        self._last_message = ""
        self._connections = (
            (viewer.layers.selection.events.active, self.follow_layers),
            (viewer.layers.events.removed, self._on_removal),
            (viewer.dims.events.point, self._follow_sliders),
        )

    @property
    def is_busy(self) -> bool:
        """True while an answer is to come."""
        return self._latest.is_busy

    @property
    def preview(self) -> Image | None:
        """Layer that shows the filtered frame; ``None`` if there is none, or the user has replaced its data."""
        return self._preview if self._own.has(self._preview) else None

    @property
    def frame(self) -> ShownFrame | None:
        """Frame that is explored; ``None`` without a layer."""
        return None if self._request is None else self._request.frame

    def open(self) -> None:
        """Follow the viewer, and explore on its active layer."""
        for event, slot in self._connections:
            event.connect(slot)
        self.follow_layers()
        if self.layer is None:
            self.explore()

    def follow_layers(self) -> None:
        """Bind to the active layer if it is an image, and explore on it."""
        active = self.viewer.layers.selection.active
        if isinstance(active, Image) and active not in (self.layer, self.preview):
            self._bind(active)

    def change(self, settings: KernelSettings) -> None:
        """Explore with other settings."""
        if settings != self.settings:
            self.settings = settings
            self.explore()

    def explore(self) -> None:
        """Explore again."""
        self._request = None
        try:
            frame = None if self.layer is None else shown_frame(self.layer, self.viewer.dims.point)
            self._request = Request(self.settings, self._taps(), frame)
        except ConvgenError as error:
            self._latest.forget()
            self._show(Answer(error=error))
        else:
            self._ask()

    def show_step(self, step: float | None) -> None:
        """Show another step; ``None`` for the best."""
        self.step = step
        self._ask()

    def want_preview(self, is_wanted: bool) -> None:
        """Add the preview, or remove it."""
        self.has_preview = is_wanted
        self._ask()

    def keep(self) -> None:
        """Leave the preview as a layer of its own; the next step is previewed in a new one.

        Raises
        ------
        InputError
            There is no preview.
        """
        layer = self.preview
        if layer is None or self._request is None:
            raise InputError("There is no preview to keep. Select an image layer and check 'Preview'.")
        self._preview = None
        layer.name = f"{layer.name}, step {self.answer.step:.0f}"
        put_report(layer, {"step": self.answer.step, **asdict(self.settings)})

    def close(self) -> None:
        """Follow the viewer no longer; the preview stays."""
        for event, slot in self._connections:
            event.disconnect(slot)
        self._latest.forget()
        self._unbind()
        self._preview = None

    def _bind(self, layer: Image) -> None:
        self._unbind()
        self._remove_preview()
        self.layer, self.step = layer, None
        for name in PLACEMENT:
            getattr(layer.events, name).connect(self._on_change)
        self._explore_bound()

    def _unbind(self) -> None:
        if self.layer is not None:
            for name in PLACEMENT:
                getattr(self.layer.events, name).disconnect(self._on_change)
        self.layer = None

    def _explore_bound(self) -> None:
        self.explore()
        self.bound.emit()

    def _on_change(self) -> None:
        self._remove_preview()
        self._explore_bound()

    def _on_removal(self, event: Any) -> None:
        if event.value == self._preview and self._own.owns(self._preview):
            self._preview, self.has_preview = None, False
            self.preview_removed.emit()
        elif event.value == self.layer:
            self._unbind()
            self._remove_preview()
            self._explore_bound()

    def _follow_sliders(self) -> None:
        if self.layer is None or self.frame is None:
            return
        if shown_frame(self.layer, self.viewer.dims.point).index != self.frame.index:
            self._explore_bound()

    def _taps(self) -> ArrayLike | None:
        """Return the pixels of the layer that a custom kernel is taken from; ``None`` for another kernel, or without that layer."""
        name = self.settings.taps
        if self.settings.kind != "custom" or name not in self.viewer.layers:
            return None
        layer = self.viewer.layers[name]
        if layer.rgb:
            raise InputError(f"'{name}' is a color image, and a kernel has one channel. Choose another layer.")
        if sum(n > 1 for n in layer.data.shape) > 2:
            raise InputError(
                f"Taps of a kernel must lie on one axis or two, and '{name}' has more. Choose another layer."
            )
        taps: ArrayLike = layer.data
        return taps

    def _ask(self) -> None:
        if self._request is not None:
            self._latest.ask(find_answer, self._request, self.step, self.has_preview)

    def _show(self, answer: Answer) -> None:
        if answer.request is not self._request:
            return  # overtaken: the next one is under way
        self.answer = answer
        if answer.preview is None or not self.has_preview or self.frame is None or self.layer is None:
            self._remove_preview()
        else:
            self._show_preview(answer.preview, self.frame, self.layer.name)
        self._notify_once(answer.error)
        self.answered.emit(answer)

    def _show_preview(self, image: NDArray[Any], frame: ShownFrame, name: str) -> None:
        layer = self.preview
        if layer is None:
            self._preview = frame.layer(image, f"{name} filtered")  # known before the viewer tells of it
            self._own.add(self._preview)
            return
        layer.data[...] = frame.expand(image)
        if not np.array_equal(layer.translate, frame.translate):
            layer.translate = frame.translate
        layer.refresh(extent=False, highlight=False, thumbnail=False)

    def _remove_preview(self) -> None:
        preview, self._preview = self._preview, None
        self._own.remove(preview)

    def _notify_once(self, error: Exception | None) -> None:
        """Notify of an error once, not again at each step or number that has the same error."""
        message = "" if error is None else str(error)
        if message == self._last_message:
            return
        self._last_message = message
        if error is not None:
            notify(error)
