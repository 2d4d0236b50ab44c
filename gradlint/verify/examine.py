"""One target built and run: how it was built, its flow beside the prediction, and whether it is healthy."""

from __future__ import annotations

import ast
import math
import re
import statistics
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from gradlint.flow.chain import longest_chain
from gradlint.graph.values import Anything
from gradlint.lint.models import UnknownArgumentError, models
from gradlint.records.evidence import LayerFlow, Measured, Verification
from gradlint.records.finding import Claim, Metric
from gradlint.semantics.project import module_name
from gradlint.semantics.value import Reference
from gradlint.source.source import SourceError
from gradlint.verify.client import Worker
from gradlint.verify.plan import PATIENCE, Target, asked_for, task
from gradlint.verify.pooled import settled
from gradlint.verify.request import Request
from gradlint.verify.rows import layers
from gradlint.verify.stamp import reason, remedy
from gradlint.verify.worker.protocol import NO_GRADIENT, Answer, Built, Failure, Reply

LIMIT = 3.0
"""Decades of gradient or scale over the longest chain from which on a model is at risk."""


def examine(worker: Worker, target: Target, request: Request) -> Verification:
    """What running a target shows. Raises `WorkerError`.

    Where arguments had to be found, the prediction is made anew with them.
    """
    reply = _ask(worker, target, request)
    found = _rebuilt(target, reply)
    return _examined(target, reply) if found is None else _examined(found, _ask(worker, found, request))


def _ask(worker: Worker, target: Target, request: Request) -> Reply:
    claims = _claims(target)
    return settled(worker.ask(task(0, target, claims, request, wants_flow=True)), claims, target.flow)


def _rebuilt(target: Target, reply: Reply) -> Target | None:
    """The target with its graph for the arguments that it was built with; None where it was for those.

    Objects that a call of the file makes are found there by the prediction as well.
    """
    used = reply.built.arguments if reply.built is not None else []
    if target.graph is None or {a.name: a.expression for a in used} == target.graph.arguments:
        return None
    read = {argument.name: (_literal(argument.expression), argument.origin) for argument in used}
    given = {n: v for n, (v, origin) in read.items() if not isinstance(v, Anything) or origin in _CHOSEN}
    try:
        (graph,) = models(target.path, target.name, given)
    except (SourceError, OSError, UnknownArgumentError, ValueError):
        return None
    return replace(target, graph=replace(graph, arguments=target.graph.arguments))


_CHOSEN = ("guessed", "--arg", "configuration")
"""Where arguments are from that the code does not show."""
_CLASS = re.compile(r"nn\.\w+")


def given_to(target: Target, request: Request) -> dict[str, object]:
    """What the constructor arguments that were asked for are to the prediction."""
    return {name: _literal(text) for name, text in asked_for(target, request).items()}


def _literal(text: str) -> object:
    """What an argument is to the prediction; anything where it is an object."""
    if _CLASS.fullmatch(text):
        return Reference(f"torch.{text}")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return Anything()


def _claims(target: Target) -> list[Claim]:
    return list(_questions(target))


def _examined(target: Target, reply: Reply) -> Verification:
    claims = _claims(target)
    line = target.graph.place.span.line if target.graph is not None else 0
    if reply.failure is not None or reply.built is None:
        failure = reply.failure
        lacks_forward = failure is not None and failure.lacks_forward
        return Verification(
            target.name,
            target.path,
            line,
            "skipped" if lacks_forward else "could not run",
            reason=_why(failure),
            remedy=remedy(failure, module_name(target.path)[0], target.name) if failure is not None else "",
            printed=reply.printed,
            seconds=reply.seconds,
        )
    measured = tuple([_measured(c, a) for c, a in zip(claims, reply.answers, strict=True) if a.values])
    notes = (*reply.built.notes, *_later(claims, reply.answers))
    rows = tuple(layers(target.flow, reply.layers))
    found = replace(_verification(target, line, reply, reply.built, measured, rows), notes=notes)
    if found.verdict == "at risk":
        return replace(found, reason=_untrainable(reply.built))
    unjudged = _hidden(reply.built) or next(_unjudged(claims, reply.answers), "")
    return replace(found, verdict="not judged", reason=unjudged) if unjudged else found


def _untrainable(built: Built) -> str:
    """Why a model cannot be trained at all; empty where it can, or where what was presumed may be why."""
    silent = "no trained parameter gets a gradient: every one is exactly 0"
    return built.raises or (silent if built.is_silent and not built.presumed else "")


def _hidden(built: Built) -> str:
    """Why gradients of 0 say nothing, where there are no others."""
    presumed = ", ".join(built.presumed)
    return f"every gradient is exactly 0, perhaps for {presumed}" if built.is_silent and presumed else ""


def _why(failure: Failure | None) -> str:
    """Why a target did not run."""
    if failure is None:
        return "nothing was built"
    return failure.reason if failure.lacks_forward else reason(failure)


def _unjudged(claims: Sequence[Claim], answers: Sequence[Answer]) -> Iterator[str]:
    """Why there is no number over the longest chain, where there is one."""
    for claim, answer in zip(claims, answers, strict=True):
        is_named = bool(claim.subject.partition(":")[2])
        if answer.state in ("failed", NO_GRADIENT) or (answer.state == "not exercised" and is_named):
            yield answer.reason


def _later(claims: Sequence[Claim], answers: Sequence[Answer]) -> Iterator[str]:
    """What was measured later than the model was made."""
    for claim, answer in zip(claims, answers, strict=True):
        if answer.values and answer.reason:
            what = "gradient" if claim.metric is Metric.DEPTH_GAIN else "signal"
            yield f"the decades of {what} are those {answer.reason}: before, there are none"


def _verification(
    target: Target,
    line: int,
    reply: Reply,
    built: Built,
    measured: tuple[Measured, ...],
    rows: tuple[LayerFlow, ...],
) -> Verification:
    is_broken = bool(built.non_finite or built.cut or _untrainable(built))
    is_healthy = not is_broken and all(map(_is_within, measured))
    return Verification(
        target.name,
        target.path,
        line,
        "healthy" if is_healthy else "at risk",
        tuple([(a.name, a.expression, a.origin) for a in built.arguments]),
        tuple([(a.name, a.expression, a.origin) for a in built.inputs]),
        tuple(built.notes),
        reply.device,
        built.dtype,
        built.parameters,
        built.trained,
        measured,
        rows,
        tuple(built.unused),
        tuple(built.non_finite),
        printed=reply.printed,
        seconds=reply.seconds,
    )


def _is_within(each: Measured) -> bool:
    return each.measured is not None and abs(each.measured) < each.limit


def _questions(target: Target) -> Iterator[Claim]:
    """The gradient's and the signal's decades over the longest chain."""
    flow = target.flow
    chain = longest_chain(flow) if flow is not None else None
    subject, gain = f"{target.name}:", math.nan
    if chain is not None and flow is not None and chain.decades.is_finite:
        first, last = (flow.graph.nodes[number].module for number in (chain.first, chain.last))
        if first and last:
            subject, gain = f"{target.name}:{first}->{last}", chain.decades.centre
    yield Claim(Metric.DEPTH_GAIN, subject, math.copysign(LIMIT, gain or 1.0), gain, f"patience={PATIENCE}")
    yield Claim(Metric.ACTIVATION_SCALE, subject, LIMIT, math.nan, f"stream,patience={PATIENCE}")


def _measured(claim: Claim, answer: Answer) -> Measured:
    predicted = claim.predicted if math.isfinite(claim.predicted) else None
    place = claim.subject.partition(":")[2]
    value = statistics.median(answer.values)
    return Measured(claim.metric.value, place, predicted, None if math.isnan(value) else value, LIMIT)
