"""What a rule reports: a finding with its severity, its claim and, where one exists, its fix."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct
from msgspec.structs import force_setattr

from gradlint.records.evidence import Evidence, Verdict
from gradlint.records.rehearsal import Rehearsal
from gradlint.records.span import Span


class Severity(str, Enum):
    """How bad a finding is; the order of the members is the order of badness."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for the mildest."""
        return list(Severity).index(self)


class Applicability(str, Enum):
    """How far a fix may be trusted: applied by `--fix`, by `--unsafe-fixes`, or only shown."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    DISPLAY_ONLY = "display-only"


class Metric(str, Enum):
    """The quantity that a backward pass measures to confirm or refute a claim."""

    NON_FINITE_GRADIENT = "non-finite-gradient"
    NON_FINITE_VALUE = "non-finite-value"
    GRADIENT_ARRIVES = "gradient-arrives"
    REGISTERED_PARAMETERS = "registered-parameters"
    DEPTH_GAIN = "depth-gain"
    ACTIVATION_SCALE = "activation-scale"
    SATURATION = "saturation"
    DEAD_UNITS = "dead-units"
    UNIQUE_GRADIENT_ROWS = "unique-gradient-rows"
    WEIGHT_VARIANCE = "weight-variance"
    RECURRENT_GAIN = "recurrent-gain"
    LOSS_GRADIENT = "loss-gradient"
    STEP_SCALE = "step-scale"
    FLUSHED_GRADIENTS = "flushed-gradients"
    LOST_UPDATES = "lost-updates"
    RAISES = "raises"
    KEPT_GRAPHS = "kept-graphs"
    TRAINED_SHARE = "trained-share"
    TRAINING_DIFFERENCE = "training-difference"
    UPDATE_RATIO = "update-ratio"
    SCHEDULE_LEAD = "schedule-lead"


SCRIPT = "the script"
"""What claims are about that are about code outside of functions and classes."""
UNMEASURED = "unmeasured"
"""The condition that no entry of the input battery meets, though training may."""


class Claim(Struct, frozen=True):
    """A prediction that one real backward pass can refute.

    `subject` names what is measured ("forward:x", "Net.layers", "loss"); `condition` names the
    entry of the input battery under which it is measured ("zeros", "equal rows", …), empty when
    any input will do; `bound` is the value from which on the claim counts as confirmed and
    `predicted` the value foretold, both in the metric's own unit. `least` is the mildest value that
    the prediction leaves possible, None where it is exact; settings are compared with its size.

    The units of what models do, all at initialisation and in training mode:
    depth-gain: S = log10(‖δ_first‖₂ / ‖δ_last‖₂) in decades, subject "Net:first->last", modules by path,
    or a parameter for the function that joins it to the signal, or "input" for what the model is given;
    after as many steps of gradient descent, each of length 0.1, as the condition says ("updates=1");
    activation-scale: log10 of the root mean square of the last output over that of the first, likewise;
    saturation: the share of elements in saturation (softmax: of rows with a maximum above 1/2), "Net:module",
    where "Net:" is everything in the model;
    dead-units: the share of units that are 0 for every sample, "Net:module";
    unique-gradient-rows: the share of different rows in a weight's gradient, "Net:parameter";
    weight-variance: fan_in · Var(w), "Net:parameter";
    recurrent-gain: log10 of ‖∂L/∂h_first‖ / ‖∂L/∂h_last‖ over the steps in `condition` ("steps=100").

    loss-gradient: the share |∂L/∂z_t| / |∂L*/∂z_t| for one sample that is confidently wrong, its logits z
    being -10 at the true class t, 10 at another and 0 elsewhere, as many as `condition` says
    ("classes=10"), its target 1 at t and else 0. L is the loss, summed, of the activation of z; L* the
    loss of z itself: cross-entropy, or binary cross-entropy where activation and loss work element by
    element. Subject "function:activation->loss", the function empty for a script.

    The units of what training does. Subject "function:first@line->last@line": the function, method
    ("Trainer.fit") or script (empty) that trains, and the events between which the claim lies. The loop
    is run in both forms of its `rehearsal`, as written and with the remedy, from the same weights on the
    same random batch in every iteration; without one there is nothing that could be run.
    step-scale: log10 of ‖g‖₂ that the optimizer's first step which is not skipped is given, over that of
    the same step with the remedy, all parameters together; of the largest over all steps where the
    condition says how many ("steps=20"), and with the loss multiplied by a constant so that the gradient
    is so many times as long as the remedy lets it be where that is said ("norm=10");
    flushed-gradients: the share of zeros in the weights' gradients as the code computes them, among the
    elements that are not zero where the same pass runs in float32, the loss before its backward pass
    being multiplied by a constant so that its value is that of `condition` ("loss=0.001": what is left of
    it when training has converged);
    lost-updates: the share of the float16 weights' elements that the optimizer's first step leaves as they
    were or makes inf or nan, among those that the same step changes where weights, gradients and the
    optimizer's state are float32;
    raises: 1 where as many iterations as `condition` says ("iterations=2", "iterations=1,device=cuda") end
    in an error of torch, else 0;
    kept-graphs: the graphs that are still held at the end of 20 iterations beyond those with the remedy,
    in graphs of one iteration: by their nodes where they hang on what is kept, else by the tensors that
    were saved for them;
    trained-share: of the parameters that 20 steps change with the remedy, the share that they change;
    training-difference: ‖w - w*‖₂ / ‖w* - w₀‖₂ of all parameters after 20 steps, w* being those with the
    remedy and w₀ those before;
    update-ratio: log10 of ‖Δw‖₂/‖w‖₂ over the first step, all parameters with two or more axes together;
    where the condition says so ("steps=20") over the first of so many that goes to the bound, or the longest;
    schedule-lead: by how many rates of its schedule the optimizer is ahead of the remedy in the step
    at which that is furthest from 0, of 20.
    """

    metric: Metric
    subject: str
    bound: float
    predicted: float
    condition: str = ""
    least: float | None = None
    rehearsal: Rehearsal | None = None

    def __post_init__(self) -> None:
        """Numbers are floats however they were written: from a cache they come as such."""
        for name in ("bound", "predicted", "least"):
            value = getattr(self, name)
            if isinstance(value, int):
                force_setattr(self, name, float(value))


class Edit(Struct, frozen=True):
    """Replace the text of `span` by `parts`: literal text, or spans whose present text is kept.

    A rule may name spans; by the time a finding is reported every part is text.
    """

    span: Span
    parts: tuple[str | Span, ...]
    cell: int | None = None

    @property
    def content(self) -> str:
        """The replacement text; only for edits whose spans were filled in."""
        return "".join(part for part in self.parts if isinstance(part, str))


class Fix(Struct, frozen=True):
    """Edits that belong together, applied all or none."""

    title: str
    applicability: Applicability
    edits: tuple[Edit, ...]


class Related(Struct, frozen=True):
    """Another place that explains the finding; `path` is empty for the finding's own file."""

    span: Span
    message: str
    path: str = ""
    cell: int | None = None


class Finding(Struct, frozen=True):
    """One risk at one place.

    In a notebook, `cell` counts code and text cells from 1 and the spans count lines within the
    cell; elsewhere `cell` is None. `evidence` is what measuring the claim showed, None where it was not.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    span: Span
    help: str = ""
    path: str = ""
    cell: int | None = None
    related: tuple[Related, ...] = ()
    claim: Claim | None = None
    fix: Fix | None = None
    evidence: Evidence | None = None

    @property
    def is_refuted(self) -> bool:
        """Whether a measurement showed that the claim does not hold."""
        return self.evidence is not None and self.evidence.verdict is Verdict.REFUTED
