"""What a real backward pass says of a claim, and of a model."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Verdict(str, Enum):
    """What became of a claim when it was measured."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISED = "not exercised"
    COULD_NOT_RUN = "could not run"


class LayerFlow(Struct, frozen=True):
    """One layer of a run: predicted and measured scale and gradient, in decades.

    The scale is log10 of the root mean square of the output. The gradient is log10 ‖∂L/∂output‖₂ less
    that at the last layer with weights. None where nothing is known or nothing arrived.
    """

    module: str
    kind: str
    line: int
    predicted_scale: float | None
    measured_scale: float | None
    predicted_gradient: float | None
    measured_gradient: float | None


class Evidence(Struct, frozen=True):
    """A verdict with what it rests on.

    `measured` is the median over the seeds in the claim's own unit and `spread` half the distance between
    the smallest and the largest, None where nothing was measured. `built` tells with which arguments and
    inputs the target ran; `reason` why there is no number, `remedy` what would help. `layers` are those of
    the run, where they were asked for.
    """

    verdict: Verdict
    measured: float | None = None
    spread: float = 0.0
    seeds: int = 0
    device: str = ""
    dtype: str = ""
    built: str = ""
    reason: str = ""
    remedy: str = ""
    layers: tuple[LayerFlow, ...] = ()


class Measured(Struct, frozen=True):
    """A number that is measured of every model, with its prediction where there is one, and its limits."""

    metric: str
    subject: str
    predicted: float | None
    measured: float | None
    limit: float


class Verification(Struct, frozen=True):
    """A target that was built and run, or why it was not.

    `verdict` is "healthy", "at risk", "not judged" (no gradient over depth), "could not run" or "skipped"
    (a class without a forward pass). `unused` are trained parameters at which no gradient arrived,
    `non_finite` those at which one that is no number did. `reason` says why there is no number, or why
    the target cannot be trained at all.
    """

    name: str
    path: str
    line: int
    verdict: str
    arguments: tuple[tuple[str, str, str], ...] = ()
    inputs: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    device: str = ""
    dtype: str = ""
    parameters: int = 0
    trained: int = 0
    measured: tuple[Measured, ...] = ()
    layers: tuple[LayerFlow, ...] = ()
    unused: tuple[str, ...] = ()
    non_finite: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""
    printed: str = ""
    seconds: float = 0.0
