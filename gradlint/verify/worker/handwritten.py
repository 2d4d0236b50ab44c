"""Networks that are written with arrays: the code itself is run on standardised input, and watched.

Functions of NumPy are replaced by ones that note what they are given, and on which lines of the target.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .construct import recipe, resolve
from .metrics import NotExercisedError
from .protocol import Argument, Question
from .sites import TREE, Site, names_at, run_at, sites
from .slicing import assigned, needed_for

KNEES = {"exp": 6.0, "sigmoid": 6.0, "tanh": 3.0}
"""From which |z| on a function is saturated; for exp it is the sigmoid that is computed with it."""
LOGITS = "logits of 1000"
"""The condition under which weights and inputs are enlarged."""
ENLARGED = 1e4
SAMPLES = 256
_LARGEST = 4096
"""The largest number in the code that is tried as a size."""
_TRIALS = 400


@dataclass
class Notes:
    """The shares of arguments beyond the knee, by line of the target's file, in the order of the calls."""

    path: str
    shares: list[tuple[frozenset[int], float]] = field(default_factory=list)

    def at(self, line: int) -> list[float]:
        """The shares of what was computed on a line."""
        return [share for lines, share in self.shares if line in lines]


def is_about_arrays(questions: Sequence[Question]) -> bool:
    """Whether questions name their places by lines, as those about arrays do, or ask for large logits."""
    return bool(questions) and all(q.subject.isdigit() or q.condition == LOGITS for q in questions)


def watch(path: str) -> Notes | None:
    """Begin to note; None where there is no NumPy."""
    try:
        torch.zeros(1).numpy()  # torch loads NumPy where there is one
    except RuntimeError:
        return None
    notes = Notes(path)
    for library in (sys.modules["numpy"], torch):
        for name, knee in KNEES.items():
            if hasattr(library, name):
                setattr(library, name, _noting(getattr(library, name), knee, notes))
    return notes


def _noting(function: Any, knee: float, notes: Notes) -> Any:
    def noted(z: Any, *rest: Any, **named: Any) -> Any:
        size = abs(z)
        share = float((size > knee).sum()) / max(math.prod(size.shape), 1) if hasattr(size, "shape") else 0.0
        notes.shares.append((_lines(notes.path), share))
        return function(z, *rest, **named)

    return noted


def _lines(path: str) -> frozenset[int]:
    """The lines of a file that are being run."""
    found = []
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename == path:
            found.append(frame.f_lineno)
        frame = frame.f_back
    return frozenset(found)


@dataclass
class Network:
    """A function that computes a network, with what it is given and what came of it."""

    notes: Notes
    function: Callable[..., Any]
    given: dict[str, Any]
    result: Any
    arguments: list[Argument]
    held: list[Any]

    def measure(self, question: Question) -> float:
        """The number that a question asks for. Raises `NotExercisedError`."""
        if question.metric == "saturation":
            found = self.notes.at(int(question.subject))
            if not found:
                raise NotExercisedError(f"no sigmoid or tanh is computed on line {question.subject}")
            return found[0]
        if not self.given:
            raise NotExercisedError("code outside of functions is not given anything else")
        if question.metric == "activation-scale":
            return self._growth()
        if question.condition == LOGITS:
            return self._enlarged()
        raise NotExercisedError("gradients of networks that are written with arrays are not measured")

    def _enlarged(self) -> float:
        """nan where weights and inputs that give large logits make the result that, else 0."""
        with torch.no_grad():
            for each in self.held:
                if "float" in str(each.dtype):
                    each *= ENLARGED
            result = self.function(**{name: x * ENLARGED for name, x in self.given.items()})
        return math.nan if bool((result != result).any()) else 0.0

    def _growth(self) -> float:
        if not hasattr(self.result, "shape"):
            raise NotExercisedError("what it returns is no array")
        first = next(iter(self.given.values()))
        return math.log10(float((self.result**2).mean()) / float((first**2).mean())) / 2


def network(
    module: types.ModuleType, name: str, arguments: Sequence[Argument], seconds: float, notes: Notes
) -> Network:
    """A function or method run with arrays of which it takes the shapes. Raises `NotExercisedError`."""
    owner_name, _, method = name.rpartition(".")
    owner, built = None, []
    if owner_name:
        made = recipe(module, owner_name, arguments, seconds, kind=object)
        owner, built = made.make(), made.arguments()
    function = getattr(owner, method) if owner is not None else resolve(module, name)
    error: Exception | None = None
    held = list(_arrays([*vars(module).values(), *vars(owner).values()] if owner else vars(module).values()))
    sizes = list(dict.fromkeys([*[n for each in held for n in each.shape], *_numbers(module)]))
    kind = next((each.dtype for each in held if isinstance(each, torch.Tensor)), None)
    for given in itertools.islice(_givens(function, sizes, kind), _TRIALS):
        notes.shares.clear()
        try:
            return Network(notes, function, given, function(**given), built, held)
        except Exception as found:
            error = error or found
    raise NotExercisedError(f"it does not run with arrays of any shape that was tried: {error}")


def script(module: types.ModuleType, lines: Iterable[int], notes: Notes) -> Network:
    """What a file computes on lines outside of functions. Raises `NotExercisedError`."""
    names = vars(module)
    for line in lines:
        for site in sites(names[TREE]):
            last = site.statement.end_lineno or site.statement.lineno
            if site.function is None and site.statement.lineno <= line <= last:
                _run_to(module, site)
    return Network(notes, lambda: None, {}, None, [], [])


def _run_to(module: types.ModuleType, site: Site) -> None:
    names = names_at(module, site)
    body = (*site.before, site.statement)
    try:
        for statement in needed_for(body, assigned(site.statement), vars(module)[TREE].body):
            run_at(module, statement, names)
    except (Exception, SystemExit) as error:
        raise NotExercisedError(f"the script ends before it: {type(error).__name__}: {error}") from None


def _givens(function: Any, sizes: Sequence[int], kind: torch.dtype | None) -> Iterator[dict[str, Any]]:
    """Arrays for all required parameters, tensors if of a kind: samples in rows, then in columns."""
    names = [n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty]
    for widths in itertools.product(sizes, repeat=len(names)):
        for in_rows in (True, False):
            shapes = [(SAMPLES, width) if in_rows else (width, SAMPLES) for width in widths]
            drawn = [torch.randn(shape, dtype=kind or torch.float64) for shape in shapes]
            yield dict(zip(names, drawn if kind is not None else [x.numpy() for x in drawn]))


def _arrays(values: Iterable[Any], depth: int = 3) -> Iterator[Any]:
    """The arrays in values, as deep as they are nested."""
    for value in values:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (list, tuple)) and depth:
            yield from _arrays(value, depth - 1)
        elif isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype"):
            yield value


def _numbers(module: types.ModuleType) -> Iterator[int]:
    """The numbers in the code of a module that may be sizes."""
    tree = vars(module).get(TREE)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Constant) and type(node.value) is int and 1 < node.value <= _LARGEST:
            yield node.value
