"""What chooses another step of a run that has ended: promote, undo, continue."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QSpinBox, QVBoxLayout, QWidget

from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.parts.buttons import button, rows_of
from napari_convgen.viewer.worker.session import State

PROMOTE = "Promote snapshot"
"""Text of the button while no single snapshot is on screen."""


class StepChoice(QWidget):
    """Buttons that make another step the result, go back to the one before, and give a run more steps.

    They are enabled and named by the session alone. What they are to do is emitted, so that errors are shown in one place.

    Parameters
    ----------
    session
        The session whose current run they act on.
    """

    promote_clicked = Signal()
    continue_clicked = Signal(int)  # number of steps to add

    def __init__(self, session: DenoiseSession) -> None:
        super().__init__()
        self._session = session
        self._promote = button(PROMOTE, "Make the snapshot on screen the result.")
        self._undo = button(
            "Undo", "Take back your last choice of a step, or your last 'Continue' with the steps that it replaced."
        )
        self._continue = button(
            "Continue",
            "Add steps to the finished fit of a single image. It goes on from its end or, if you moved the stop back, from the last stored "
            "step before it, which the button names: new steps then replace the later ones, and 'Undo' brings these back. The networks of "
            "a run that was reopened, or is not the last one, are not kept: its own steps are taken again first, which takes as long as "
            "the run took.",
        )
        self._more_steps = QSpinBox()
        self._more_steps.setRange(1, 10_000_000)
        self._more_steps.setPrefix("+")
        self._more_steps.setAccessibleName("Steps to add")
        self._more_steps.setToolTip("Number of steps that 'Continue' adds; at first as many as the run had at most.")
        self._offered_for: object = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows_of((self._continue, self._more_steps), (self._promote, self._undo)))
        self._promote.clicked.connect(lambda: self.promote_clicked.emit())
        self._continue.clicked.connect(lambda: self.continue_clicked.emit(self._more_steps.value()))
        self._undo.clicked.connect(session.undo)
        session.state_changed.connect(self.refresh)
        session.kept.connect(self.refresh)
        session.turned.connect(self.refresh)
        session.viewer.dims.events.point.connect(self.name_step)
        session.viewer.layers.events.removed.connect(lambda event: self.refresh())
        self.refresh()

    def refresh(self) -> None:
        """Enable what there is something to choose for."""
        session = self._session
        step, layers = session.step_to_continue, session.layers
        self._continue.setEnabled(step is not None)
        where = "from" if session.has_task or session.is_as_ended else "near"
        self._continue.setText("Continue" if step is None else f"Continue {where} step {step}")
        self._more_steps.setEnabled(step is not None)
        if step is not None and layers is not self._offered_for:
            self._more_steps.setValue(session.usual_steps or 1)
            self._offered_for = layers
        has_snapshots = layers is not None and layers.snapshots in session.viewer.layers
        self._promote.setEnabled(session.state is State.IDLE and has_snapshots)
        self._undo.setEnabled(session.can_undo)
        self.name_step()

    def name_step(self) -> None:
        """Say on the button which step is on screen."""
        try:
            self._promote.setText(f"Promote step {self._session.step_on_screen()}")
        except ConvgenError:
            self._promote.setText(PROMOTE)
