"""What passes between gradlint and its worker: one JSON object per line, each way.

The worker begins with a `Hello`; every `Task` is answered by one `Reply` of the same number. Numbers that
JSON lacks are written as Python's `json` does: NaN, Infinity. A change of any record changes `VERSION`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .rehearsal import Rehearsal, decode

VERSION = 4
NO_GRADIENT = "no gradient"
"""The state of an answer where all gradients that it is about are 0."""


@dataclass(frozen=True)
class Hello:
    """What the worker is: `failure` says why it cannot work, empty where it can."""

    protocol: int
    python: str
    torch: str = ""
    devices: list[str] | None = None
    failure: str = ""


@dataclass(frozen=True)
class Argument:
    """One argument of the constructor: a Python expression, and where it is from."""

    name: str
    expression: str
    origin: str


@dataclass(frozen=True)
class Input:
    """One input of forward as it was asked for: its name, the dtype's name and the shape."""

    name: str
    dtype: str
    shape: list[int]


@dataclass(frozen=True)
class Question:
    """What to measure: a metric at a place of the target under a condition, as in a claim.

    `offset` is taken off what is measured, in the metric's unit. Values on the other side of `bound`
    than `predicted`, or near it, are measured with more seeds. `rehearsal` is the training loop that a claim
    is about, None for claims about models.
    """

    number: int
    metric: str
    subject: str
    condition: str
    bound: float
    predicted: float
    offset: float = 0.0
    rehearsal: Rehearsal | None = None


@dataclass(frozen=True)
class Task:
    """A target and what is to be measured of it.

    `name` is what the file calls the target, `line` where it is constructed (0 where that is not known),
    `text` its source where that is not what the file holds.
    `roots` are folders to import from. The limits are for the whole task, in seconds and in megabytes
    beyond what the worker itself takes.
    """

    number: int
    path: str
    name: str
    roots: list[str]
    arguments: list[Argument]
    inputs: list[Input]
    questions: list[Question]
    device: str
    dtype: str
    seconds: float
    megabytes: int
    text: str | None = None
    wants_flow: bool = True
    line: int = 0


@dataclass(frozen=True)
class Answer:
    """The values that were measured for a question, one per seed; `reason` where there are none.

    `state` is "measured", "not exercised" where the run does not come past the place, `NO_GRADIENT`, or
    "failed". Of values that were measured `reason` says after which steps, where after any. `built`
    says what was run, where that is not the target of the task; `is_stand_in` that it is another model than
    the code's.
    """

    number: int
    state: str
    values: list[float]
    dtype: str = ""
    reason: str = ""
    built: str = ""
    is_stand_in: bool = False


@dataclass(frozen=True)
class Layer:
    """What one call of a module showed, in decades: its output's root mean square, ‖∂L/∂output‖₂.

    The gradient is None where none arrived, the line 0 where it is not known; `path` is the file of it.
    `elements` are those of the output.
    """

    module: str
    kind: str
    scale: float | None
    gradient: float | None
    line: int = 0
    path: str = ""
    elements: int = 0


@dataclass(frozen=True)
class Built:
    """How the target was built and run: arguments and inputs as text, each with its origin.

    `parameters` and `trained` are numbers of elements; `unused` names trained parameters at which no
    gradient arrived, `cut` those of them in layers that ran, `non_finite` those where one arrived that is
    no number. `raises` says what training ends in, empty where in nothing; the model `is_silent` where every
    gradient is 0, also after steps. `presumed` tells of arguments that were guessed, and of
    inputs of one value throughout.
    """

    arguments: list[Argument]
    inputs: list[Argument]
    notes: list[str]
    dtype: str
    parameters: int
    trained: int
    unused: list[str]
    non_finite: list[str]
    cut: list[str] = field(default_factory=list)
    raises: str = ""
    is_silent: bool = False
    presumed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """Why a target could not be run: in which stage, why, and what is missing.

    `missing` names an argument or an input by its name, empty where something else is missing;
    `lacks_forward` is true of a class that has no forward pass.
    """

    stage: str
    reason: str
    missing: str = ""
    is_input: bool = False
    lacks_forward: bool = False


@dataclass(frozen=True)
class Reply:
    """What came of a task; `printed` is the end of what the target wrote.

    `files` are those of the project that were imported.
    """

    number: int
    built: Built | None
    answers: list[Answer]
    layers: list[Layer]
    failure: Failure | None = None
    printed: str = ""
    seconds: float = 0.0
    device: str = "cpu"
    files: list[str] = field(default_factory=list)


def encode(record: Any) -> str:
    """A record as one line."""
    return json.dumps(asdict(record)) + "\n"


def decode_task(line: str) -> Task:
    """The task that a line holds."""
    fields = json.loads(line)
    for name, kind in (("arguments", Argument), ("inputs", Input), ("questions", Question)):
        fields[name] = [kind(**item) for item in fields[name]]
    fields["questions"] = [_with_rehearsal(question) for question in fields["questions"]]
    return Task(**fields)


def _with_rehearsal(question: Any) -> Any:
    found = question.rehearsal
    return question if found is None else replace(question, rehearsal=decode(found))
