"""Settings of the stopping rules: one model a kind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from pydantic import Field

from napari_convgen.config.base import Auto, Kind


class StoppingSettings(Kind):
    """Settings of a stopping rule of any kind.

    Attributes
    ----------
    criterion
        Name of what the rule watches, for plots; empty if it watches nothing.
    needs_fixed_input
        True if the rule predicts the fit of a generator whose input is fixed.
    adds_noise
        True if generators are fitted to the measurement with more noise on it.
    watches_held_out
        True if the criterion is the mean squared error at entries of the measurement that are held out.
    """

    criterion: ClassVar[str] = ""
    needs_fixed_input: ClassVar[bool] = False
    adds_noise: ClassVar[bool] = False
    watches_held_out: ClassVar[bool] = False

    @property
    def n_twins(self) -> int:
        """Number of nets that the rule needs beside those that are kept."""
        return 0


class _PatientRule(StoppingSettings):
    patience: float = Field(
        0.4,
        ge=0,
        title="Patience",
        description="Steps without improvement after which the fit ends, as a multiple of the number of the best step.",
    )
    min_patience: int = Field(
        100,
        ge=0,
        title="Least patience",
        description="Number of steps without improvement that are always allowed, added to those of the patience.",
    )


class _HeldOutRule(_PatientRule):
    criterion: ClassVar[str] = "held-out pixels"
    watches_held_out: ClassVar[bool] = True

    held_out_fraction: float = Field(
        0.1,
        gt=0,
        lt=0.9,
        title="Share held out",
        description="Share of the pixels that each generator's fit leaves out; at most one over the number of generators, which leave out "
        "different ones.",
    )
    held_out_size: Auto | Annotated[int, Ge(1)] = Field(
        "auto",
        title="Squares held out",
        description="Side in pixels of the squares that are left out; auto takes 1 for white noise, and more for correlated noise.",
    )


class AutoStopConfig(_HeldOutRule):
    """Pixels left out of the fit decide, and the rules that cost nothing vote beside them."""

    kind: Literal["auto"] = "auto"


class FixedStopConfig(StoppingSettings):
    """The last step is kept."""

    kind: Literal["fixed"] = "fixed"


class HeldOutConfig(_HeldOutRule):
    """Least error at pixels left out of the fit."""

    kind: Literal["held-out"] = "held-out"


class SureConfig(_PatientRule):
    """Least error by Stein's unbiased estimate, from a second fit to slightly changed data."""

    criterion: ClassVar[str] = "Stein's estimate"
    adds_noise: ClassVar[bool] = True

    kind: Literal["sure"] = "sure"
    n_probes: int = Field(
        1,
        ge=1,
        le=64,
        title="Probes",
        description="Number of fits to changed data, over which the estimate is averaged.",
    )
    probe_size: float = Field(
        0.2,
        gt=0,
        le=10,
        title="Probe size",
        description="Standard deviation of the change, in standard deviations of the noise; if it is small, rounding shows; if it is "
        "large, the fit does not answer linearly.",
    )

    @property
    def n_twins(self) -> int:
        """Number of nets that the rule needs beside those that are kept: one for each probe."""
        return self.n_probes


class CoupledConfig(_PatientRule):
    """Least error to the other half of a measurement that is split into two with independent noise."""

    criterion: ClassVar[str] = "other half of the split"
    adds_noise: ClassVar[bool] = True

    kind: Literal["coupled"] = "coupled"
    added_noise: float = Field(
        0.3,
        gt=0,
        le=10,
        title="Added noise",
        description="Standard deviation of the noise that is added to what is fitted, in standard deviations of the image's noise; little "
        "makes the estimate noisy, much spoils the fit.",
    )
    fitted_share: float = Field(
        0.8,
        gt=0,
        lt=1,
        title="Fitted share",
        description="Share of the photons that are fitted, where the noise is that of counting them; the others evaluate the fit.",
    )


class DiscrepancyConfig(StoppingSettings):
    """First step that leaves no more than the noise."""

    criterion: ClassVar[str] = "residual / noise"

    kind: Literal["discrepancy"] = "discrepancy"
    tau: float = Field(
        1.0,
        gt=0,
        le=100,
        title="Residual at the stop",
        description="Mean squared residual at the stop, as a multiple of the noise's variance; 0.95 to 1.05 are in use.",
    )


class WhitenessConfig(_PatientRule):
    """Residual most like white noise."""

    criterion: ClassVar[str] = "whiteness of the residual"

    kind: Literal["whiteness"] = "whiteness"
    max_lag: int = Field(
        2,
        ge=1,
        le=100,
        title="Largest distance",
        description="Largest distance in pixels, along each axis, of the pixels of the residual that are compared.",
    )


class AgreementConfig(_PatientRule):
    """Least difference between fits with different starts; needs two seeds or more."""

    criterion: ClassVar[str] = "variance over seeds"

    kind: Literal["agreement"] = "agreement"


class LinearizedConfig(StoppingSettings):
    """Loss that the linearization of the generator at its start predicts for the best image."""

    criterion: ClassVar[str] = "loss / predicted loss"
    needs_fixed_input: ClassVar[bool] = True

    kind: Literal["linearized"] = "linearized"
    tolerance: float = Field(
        0.02,
        ge=0,
        le=10,
        title="Tolerance",
        description="Excess of the predicted error over the least one, within which steps count as good, as a multiple of the noise's "
        "variance.",
    )
    n_products: int = Field(
        100,
        ge=2,
        le=10_000,
        title="Products",
        description="Number of products with the generator's Jacobian that the prediction takes; more reach later steps.",
    )


class _VarianceRule(StoppingSettings):
    criterion: ClassVar[str] = "variance over steps"

    n_waiting_steps: int = Field(
        1000,
        ge=0,
        title="Waiting steps",
        description="Number of steps without a lower variance after which the fit ends.",
    )


class WindowedVarianceConfig(_VarianceRule):
    """Least variance of the latest outputs in a window of steps."""

    kind: Literal["windowed-variance"] = "windowed-variance"
    window: int = Field(
        100, ge=2, le=100_000, title="Window", description="Number of the latest steps whose outputs are compared."
    )


class RunningVarianceConfig(_VarianceRule):
    """Least variance of the latest outputs, with weights that fall exponentially."""

    kind: Literal["running-variance"] = "running-variance"
    latest_weight: float = Field(
        0.1, gt=0, lt=1, title="Weight of the latest", description="Weight of the latest output in the variance."
    )


StoppingConfig = (
    AutoStopConfig
    | FixedStopConfig
    | HeldOutConfig
    | SureConfig
    | CoupledConfig
    | DiscrepancyConfig
    | WhitenessConfig
    | AgreementConfig
    | LinearizedConfig
    | WindowedVarianceConfig
    | RunningVarianceConfig
)
