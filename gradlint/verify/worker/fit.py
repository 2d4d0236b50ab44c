"""A search for inputs with which a model runs: by its layers, then guided by the errors it raises."""

from __future__ import annotations

import inspect
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .absent import AbsentError
from .adapt import Misfit, adapted
from .blame import lines
from .fields import gathered, with_fields
from .forms import BOOL, FLOAT, INT, SIDES, VALUE, Form, likely
from .guesses import guess
from .observe import tensors
from .protocol import Input

Forms = Mapping[str, Form]
FEW = 2
ATTEMPTS = 320
HURRIED, FEWEST = 64, 24
"""So many attempts where there are other ways to construct the model, or documentation shows its inputs."""
_ALIKE = 48
"""After so many attempts that all end in one error the input is not what it is about."""
_STRETCH = 16
"""So many attempts from one start before others get their turn."""

_IDS = re.compile(
    r"(.*_)?(ids?|idx|index|indices|tokens?|words?|labels?|captions?|targets?|tgt|src|positions?|input_ids)\Z"
)
_MASK = re.compile(r"(.*_)?masks?(_.*)?\Z")
_LENGTHS = re.compile(r"(.*_)?(lens?|lengths?|seq_lens?|num_.*|sizes?)\Z")


Trail = deque[tuple[Forms, frozenset[Any]]]
"""Forms that wait to be tried, each with the places of the errors that led there."""


class NoInputError(Exception):
    """No input was found with which the model runs; `missing` names the input that would help.

    `cause` is the error that the likeliest input ends in.
    """

    def __init__(self, reason: str, missing: str = "", cause: BaseException | None = None) -> None:
        super().__init__(reason)
        self.missing, self.cause = missing, cause


class NoForwardError(NoInputError):
    """The class has no forward pass."""


@dataclass
class Fitted:
    """Inputs with which a model runs; `keywords` are the names that are given by name."""

    forms: dict[str, Form]
    keywords: frozenset[str] = frozenset()
    stars: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    is_scalable: bool = True

    def sized(self, batch: int) -> dict[str, Form]:
        """The forms for so many samples; as they are for 0, and where an input was asked for."""
        is_scaled = self.is_scalable and batch
        return {name: form.sized(batch) if is_scaled else form for name, form in self.forms.items()}

    def draw(self, batch: int, dtype: torch.dtype) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named inputs."""
        values = {name: form.draw(dtype) for name, form in self.sized(batch).items()}
        return arranged(values, self.keywords, self.stars)


def arranged(
    values: Mapping[str, Any], keywords: frozenset[str], stars: frozenset[str]
) -> tuple[list[Any], dict[str, Any]]:
    """Values by name as positional and named arguments, fields of an input in one."""
    values = gathered(values)
    positional: list[Any] = []
    for name, value in values.items():
        if name in stars:
            positional += value if isinstance(value, list) else [value]
        elif name not in keywords:
            positional.append(value)
    return positional, {name: values[name] for name in values if name in keywords}


def _has_forward(model: nn.Module) -> bool:
    """Whether a class has a forward pass, or but one that takes anything and hands it on to what has none."""
    forward = getattr(model.forward, "__func__", model.forward)
    if forward is nn.Module.forward:
        return False
    try:
        kinds = {p.kind for p in inspect.signature(forward).parameters.values() if p.name != "self"}
        if kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            model.forward()
    except NotImplementedError as error:
        return 'required "forward"' not in str(error)
    except Exception:
        return True
    return True


def fit(
    model: nn.Module,
    asked: Sequence[Input],
    seconds: float,
    steps: int = 0,
    dtype: torch.dtype = torch.float32,
    side: int = SIDES[0],
    fields: Sequence[str] = (),
    attempts: int = ATTEMPTS,
) -> Fitted:
    """Inputs with which `model` runs, images tried with so many pixels a side. Raises `NoInputError`.

    `fields` are the names of what an input holds where it is a dict. It ends after so many `attempts`.
    """
    if not _has_forward(model):
        raise NoForwardError("the class has no forward")
    known = {each.name: each for each in asked}
    search = _Search(model, known, time.process_time() + seconds, steps, dtype, side, fields)
    search.most = attempts
    found = search.run()
    if found is not None:
        return found
    raise search.failure()


class _Search:
    def __init__(
        self,
        model: nn.Module,
        asked: Mapping[str, Input],
        deadline: float,
        steps: int,
        dtype: torch.dtype,
        side: int,
        fields: Sequence[str] = (),
    ) -> None:
        self.model, self.asked, self.deadline = model, asked, deadline
        self.steps, self.dtype, self.side, self.fields = steps, dtype, side, fields
        self.names, self.keywords, self.stars, self.annotations = _taken(model, asked)
        self.optional = [name for name in self.annotations if name not in self.names]
        self.first: tuple[BaseException, Forms] | None = None
        self.seen: set[str] = set()
        self.known: dict[str, Misfit | None] = {}
        self.attempts, self.most = 0, ATTEMPTS
        self.errors: set[str] = set()

    def run(self) -> Fitted | None:
        """The likeliest forms as they are, then every start with what its errors suggest."""
        likeliest = [self._all(first) for first in likely(self.model, FEW, self.steps, self.side)]
        fitting = [forms for forms in likeliest[:4] if self._try(forms) is None]
        apart = (forms for forms in fitting if len(fitting) == 1 or self._keeps_samples_apart(forms))
        for forms in (*apart, *fitting):
            return self._fitted(forms)
        self._take_what_is_asked_for()
        for start in self._starts():
            if self._try(start) is None:
                return self._fitted(start)
        trails = deque([deque([(start, frozenset[Any]())]) for start in self._starts()])
        while trails and not self._is_over():
            trail = trails.popleft()
            found = self._follow(trail)
            if found is not None:
                return self._fitted(found)
            trails.extend([trail] if trail else [])
        return None

    def _take_what_is_asked_for(self) -> None:
        """Give what the first error names of the inputs that may be left out."""
        words = re.findall(r"\w+", str(self.first[0])) if self.first is not None else []
        given = tuple([f"_{name}" for name in self.names if name in words])
        named = [name for name in self.optional if name.endswith(given)]
        named += [name for name in self.optional if name in words]
        self.names += named[:1]
        self.keywords |= set(named[:1])

    def failure(self) -> NoInputError:
        """Why none was found: what the likeliest input ends in."""
        assert self.first is not None
        error, forms = self.first
        tried = ", ".join(f"{n}={f.describe('float32')}" for n, f in forms.items())
        names = [name for name in self.names if name not in self.asked]
        return NoInputError(
            f"forward raises {type(error).__name__} on ({tried}): {' '.join(str(error).split())[:300]}",
            (names or [""])[0],
            error,
        )

    def _is_over(self) -> bool:
        makes_no_difference = self.attempts >= _ALIKE and len(self.errors) == 1
        return makes_no_difference or self.attempts >= self.most or time.process_time() > self.deadline

    def _fitted(self, forms: Forms) -> Fitted:
        fitted = Fitted(dict(forms), self.keywords, self.stars)
        if any(name in self.asked for name in forms):
            fitted.is_scalable = False
        return fitted

    def _keeps_samples_apart(self, forms: Forms) -> bool:
        """Whether what a model gives for one sample does not depend on the others, as in a batch."""
        given = {name: form.draw(self.dtype) for name, form in forms.items()}
        first = next(iter(given.values()), None)
        if not isinstance(first, torch.Tensor) or not first.is_floating_point():
            return True
        self.model.eval()
        try:
            before = self._outputs(given)
            with torch.no_grad():
                first[1:] += 1
            after = self._outputs(given)
        finally:
            self.model.train()
        pairs = [(a, b) for a, b in zip(before, after) if a.dim() and len(a) == len(first)]
        return all(torch.equal(a[0], b[0]) for a, b in pairs)

    def _outputs(self, given: Mapping[str, Any]) -> list[torch.Tensor]:
        positional, named = arranged(given, self.keywords, self.stars)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return tensors(self.model(*positional, **named))

    def _try(self, forms: Forms) -> Misfit | None:
        """What is wrong with forms, None where the model runs with them; remembered."""
        key = repr(sorted(forms.items()))
        if key not in self.known:
            self.attempts += 1
            self.known[key] = misfit = self._misfit(forms)
            if misfit is not None:
                self.first = self.first or (misfit.error, forms)
                self.errors.add(repr(misfit.error))
                if isinstance(misfit.error, MemoryError):
                    raise misfit.error
                if isinstance(misfit.error, AbsentError):
                    raise NoInputError(str(misfit.error))
        return self.known[key]

    def _follow(self, trail: Trail) -> Forms | None:
        """Try some forms of a trail, and what their errors suggest.

        What gets past the errors of before is followed first.
        """
        for _ in range(_STRETCH):
            if not trail or self._is_over():
                return None
            forms, passed = trail.popleft()
            key = repr(sorted(forms.items()))
            misfit = self._try(forms)
            self.known.pop(key, None)
            if misfit is None:
                return forms
            place = _place(misfit)
            new = [(each, passed | {place}) for each in self._changed(misfit, forms)]
            if place in passed:
                trail.extend(new)
            else:
                trail.extendleft(reversed(new))
        return None

    def _changed(self, misfit: Misfit, forms: Forms) -> Iterator[Forms]:
        """The forms that an error suggests in the place of others, each of them once."""
        holding = list(with_fields(misfit.error, misfit.whole, forms, self.fields, self._field(forms)))
        if holding and self.first is not None and self.first[1].keys() == forms.keys():
            self.first = None
        others = ({**forms, name: form} for name, form in adapted(misfit, forms) if name not in self.asked)
        for each in (*holding, *others):
            key = repr(sorted(each.items()))
            if key not in self.seen:
                self.seen.add(key)
                yield each

    def _misfit(self, forms: Forms) -> Misfit | None:
        given: dict[str, Any] = {}
        whole: dict[str, Any] = {}
        stack: list[tuple[nn.Module, Any]] = []

        def enter(module: nn.Module, inputs: Any) -> None:
            stack.append((module, inputs))

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            stack.pop()

        hooks = [
            torch.nn.modules.module.register_module_forward_pre_hook(enter),
            torch.nn.modules.module.register_module_forward_hook(leave),
        ]
        try:
            given.update({name: form.draw(self.dtype) for name, form in forms.items()})
            whole.update(gathered(given))
            positional, named = arranged(whole, self.keywords, self.stars)
            with torch.no_grad():
                self.model(*positional, **named)
        except (Exception, SystemExit) as error:
            return Misfit(error, given, stack, whole)
        finally:
            for hook in hooks:
                hook.remove()
        return None

    def _starts(self) -> Iterator[Forms]:
        """Forms to begin with, the likeliest first."""
        main = list(likely(self.model, FEW, self.steps, self.side))
        for first in main:
            yield self._all(first)
        for side in SIDES:
            for first in main:
                if len(first.shape) > 3:
                    yield self._all(
                        first.__class__(FLOAT, (*first.shape[:2], *(side,) * (len(first.shape) - 2)))
                    )
        for shape in (
            (FEW, 3, self.side, self.side),
            (FEW, 16, 16, 16),
            (FEW, 3, 32, 32),
            (FEW, 16),
            (FEW, 16, 16),
            (4, 4, 4, 4),
            (4, 4),
            (4, 4, 4),
            (4, 4, 4, 4, 4),
            (64, 64),
            (FEW,),
        ):
            yield self._all(Form(FLOAT, shape))

    def _all(self, first: Form) -> dict[str, Form]:
        """A form for each input, the first one given."""
        found: dict[str, Form] = {}
        for name in self.names:
            fields = {n: _as_asked(each) for n, each in self.asked.items() if n.startswith(f"{name}.")}
            found.update(fields or {name: self._one(name, first, not found)})
        return found

    def _field(self, forms: Forms) -> Callable[[str], Form]:
        """What form a field of an input has by its name."""
        first = next(iter(forms.values()), Form(FLOAT, (FEW, 16)))
        return lambda name: self._one(name, first, False)

    def _one(self, name: str, first: Form, is_first: bool) -> Form:
        if name in self.asked:
            return _as_asked(self.asked[name])
        known = annotated(self.annotations.get(name), name)
        if known is not None:
            return known
        if is_first:
            return first
        if _MASK.match(name):
            return Form(BOOL, first.shape[:2] if first.kind == INT or len(first.shape) == 3 else first.shape)
        if _LENGTHS.match(name):
            steps = first.shape[1] if len(first.shape) == (2 if first.kind == INT else 3) else 2
            return Form(INT, (FEW,), steps + 1, low=steps)
        if _IDS.match(name) and first.kind == INT:
            return first
        return first


def _place(misfit: Misfit) -> tuple[Any, ...]:
    """Where and how a run ended: the module, the line and the error, numbers left out."""
    module = id(misfit.stack[-1][0]) if misfit.stack else 0
    line = next((each.number for each in lines(misfit.error)), 0)
    return type(misfit.error), _SIZE.sub("_", str(misfit.error)), module, line


_SIZE = re.compile(r"(?<!dimension )\b\d+")
"""A number that is no axis."""


def _taken(
    model: nn.Module, asked: Mapping[str, Input]
) -> tuple[list[str], frozenset[str], frozenset[str], dict[str, Any]]:
    """The names of the inputs that a model needs, those given by name, and those given as they come."""
    function = model.forward
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ["input"], frozenset(), frozenset(), {}
    heads = {n.partition(".")[0] for n in asked}
    unknown = [n for n in heads if n not in parameters]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise NoInputError(f"forward takes {', '.join(parameters) or 'nothing'}, not {unknown[0]}")
    names = [
        n
        for n, p in parameters.items()
        if n in heads or (p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    ]
    stars = [n for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL]
    if not names:
        optional = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        names = stars or optional[:1]
    keywords = frozenset(
        n
        for i, n in enumerate(names)
        if n in parameters
        and (parameters[n].kind is inspect.Parameter.KEYWORD_ONLY or list(parameters)[i] != n)
        and parameters[n].kind is not inspect.Parameter.VAR_POSITIONAL
    )
    annotations = {n: p.annotation for n, p in parameters.items()}
    return [*names, *unknown], keywords | frozenset(unknown), frozenset(stars), annotations


def annotated(annotation: Any, name: str) -> Form | None:
    """A form that an annotation asks for, where that is no tensor."""
    if annotation in (int, float, bool, str) or annotation in ("int", "float", "bool", "str"):
        kind = {"int": int, "float": float, "bool": bool, "str": str}.get(annotation, annotation)
        return Form(VALUE, value=guess(name, kind))
    if annotation in (torch.LongTensor, "torch.LongTensor", "LongTensor"):
        return Form(INT, (FEW, 16), 2)
    return None


def _as_asked(asked: Input) -> Form:
    shape = tuple(asked.shape)
    if asked.dtype.startswith(("float", "bfloat", "half", "double")):
        return Form(FLOAT, shape, origin="--input")
    if asked.dtype == "bool":
        return Form(BOOL, shape, origin="--input")
    return Form(INT, shape, int(asked.dtype.partition("<")[2] or 2), origin="--input")
