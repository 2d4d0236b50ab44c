"""Findings with what measuring their claims showed."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Protocol

from msgspec.structs import replace

from gradlint.records.evidence import Evidence, Verdict
from gradlint.records.finding import Claim, Finding, Metric
from gradlint.semantics.project import module_name
from gradlint.verify.client import Worker
from gradlint.verify.judge import verdict
from gradlint.verify.plan import (
    LOSS,
    MODEL,
    TRAINING,
    Target,
    claims_by_target,
    graphs,
    kind_of,
    place_of,
    task,
    trained_target,
)
from gradlint.verify.pooled import needs_sizes, settled
from gradlint.verify.remember import Memory
from gradlint.verify.request import Request
from gradlint.verify.rows import layers
from gradlint.verify.worker.protocol import NO_GRADIENT, Answer, Argument, Built, Failure, Reply, Task

Progress = Callable[[int, int, str], None]
"""Is told how many of how many targets are done, and which comes next."""


def stamped(
    findings: Mapping[str, Sequence[Finding]],
    request: Request,
    progress: Progress | None = None,
    folder: str | None = None,
) -> dict[str, tuple[Finding, ...]]:
    """The findings of every file with their evidence, by path; `folder` is where replies are remembered.

    Raises `WorkerError` where the interpreter cannot do the work.
    """
    with Worker(request.python) as worker, closing(Memory(worker, request.python, folder)) as memory:
        return answered(memory, findings, request, progress)


def answered(
    worker: Answering,
    findings: Mapping[str, Sequence[Finding]],
    request: Request,
    progress: Progress | None = None,
) -> dict[str, tuple[Finding, ...]]:
    """The findings of every file with what a worker answers about them. Raises `WorkerError`."""
    wanted = {path: claims_by_target(found) for path, found in findings.items()}
    total = sum(map(len, wanted.values()))
    done = 0
    result: dict[str, tuple[Finding, ...]] = {}
    for path, by_target in wanted.items():
        known: dict[Claim, Evidence] = {}
        found = {graph.name: graph for graph in graphs(path)} if by_target else {}
        for (name, kind), claims in by_target.items():
            is_loop = kind == TRAINING
            target = trained_target(path, claims[0]) if is_loop else Target(path, name, found.get(name))
            if progress is not None:
                progress(done, total, target.name)
            known.update(zip(claims, measured(worker, target, claims, request), strict=True))
            done += 1
        result[path] = tuple(_with_evidence(findings[path], known))
    return result


class Answering(Protocol):
    """Whatever answers tasks: a worker, or a memory before one."""

    def ask(self, task: Task) -> Reply:
        """What came of a task. Raises `WorkerError`."""


SCRIPTS = ("<module>", "lambda", "")
"""Names of what cannot be run by itself."""


def measured(worker: Answering, target: Target, claims: Sequence[Claim], request: Request) -> list[Evidence]:
    """What a run of a target says of claims about it. Raises `WorkerError`."""
    reason = _not_run(target, claims)
    if reason:
        return [Evidence(Verdict.NOT_EXERCISED, reason=reason)] * len(claims)
    wants_flow = request.shows_flow and {kind_of(claim) for claim in claims} == {MODEL}
    flow = target.flow if any(claim.metric is Metric.DEPTH_GAIN for claim in claims) else None
    wants_sizes = needs_sizes(flow, claims)
    reply = settled(worker.ask(task(0, target, claims, request, wants_flow or wants_sizes)), claims, flow)
    found = evidence(reply, claims, target.path, target.name)
    if not reply.layers or not wants_flow:
        return found
    rows = tuple(layers(target.flow, reply.layers))
    return [replace(each, layers=rows) for each in found]


def _not_run(target: Target, claims: Sequence[Claim]) -> str:
    """Why claims are not measured, empty where they are: also of a script, for what stands on its lines."""
    kinds = {kind_of(claim) for claim in claims}
    if TRAINING in kinds or (not target.name and all(place_of(claim).isdigit() for claim in claims)):
        return ""
    if target.name in SCRIPTS and kinds != {LOSS}:
        return "code outside of functions and classes is not run"
    return ""


def _with_evidence(findings: Iterable[Finding], known: Mapping[Claim, Evidence]) -> Iterable[Finding]:
    for finding in findings:
        found = known.get(finding.claim) if finding.claim is not None else None
        yield finding if found is None else replace(finding, evidence=found)


def evidence(reply: Reply, claims: Sequence[Claim], path: str, name: str) -> list[Evidence]:
    """What a reply says of each claim."""
    if reply.failure is not None or reply.built is None:
        return [could_not_run(reply.failure, path, name)] * len(claims)
    text = described(name, reply.built) if name and kind_of(claims[0]) != TRAINING else ""
    return [
        _judged(claim, answer, reply, answer.built or text)
        for claim, answer in zip(claims, reply.answers, strict=True)
    ]


def _judged(claim: Claim, answer: Answer, reply: Reply, built: str) -> Evidence:
    if answer.state in ("not exercised", NO_GRADIENT):
        return Evidence(Verdict.NOT_EXERCISED, built=built, reason=answer.reason)
    if answer.state == "failed":
        return Evidence(Verdict.COULD_NOT_RUN, built=built, reason=answer.reason)
    values = answer.values
    found = verdict(claim, values)
    is_weak = answer.is_stand_in and found is Verdict.REFUTED
    return Evidence(
        Verdict.INCONCLUSIVE if is_weak else found,
        statistics.median(values),
        (max(values) - min(values)) / 2 if len(set(values)) > 1 else 0.0,
        len(values),
        reply.device,
        answer.dtype,
        "; ".join(filter(None, (built, f"measured {answer.reason}" if answer.reason else ""))),
    )


def could_not_run(failure: Failure | None, path: str, name: str) -> Evidence:
    """Why a target did not run, and the line of configuration that would help."""
    if failure is None:
        return Evidence(Verdict.COULD_NOT_RUN, reason="nothing was built")
    return Evidence(
        Verdict.COULD_NOT_RUN, reason=reason(failure), remedy=remedy(failure, module_name(path)[0], name)
    )


def reason(failure: Failure) -> str:
    """The stage that failed, and how."""
    return f"{failure.stage}: {failure.reason}"


def remedy(failure: Failure, module: str, name: str) -> str:
    """The line of configuration that would supply what is missing; empty where none would."""
    if not failure.missing:
        return ""
    table = f'[tool.gradlint.verify.targets."{module}:{name}"]'
    if failure.is_input:
        return f'{table} inputs = {{ {failure.missing} = "{_form(failure.reason, _INPUTS)}" }}'
    return f'{table} arguments = {{ {failure.missing} = "{_form(failure.reason, _ARGUMENTS)}" }}'


_INPUTS = {
    r"conv(_transpose)?1d": "float32[8,3,32]",
    r"conv(_transpose)?2d": "float32[8,3,32,32]",
    r"conv(_transpose)?3d": "float32[8,3,8,32,32]",
    r"": "<dtype>[<sizes>]",
}
_ARGUMENTS = {
    r"must be a mapping|has no attribute '(items|keys|values|get)'": "{'<key>': <value>}",
    r"indices must be integers": "{'<key>': <value>}",
    r"is not subscriptable": "<mapping or sequence>",
    r"not a Module subclass|is not callable|has no attribute 'parameters'": "nn.<Module>(<arguments>)",
    r"": "<value>",
}
"""By what the reason says: the form of what is missing, with places to fill in."""


def _form(reason: str, forms: Mapping[str, str]) -> str:
    return next(form for pattern, form in forms.items() if re.search(pattern, reason))


def described(name: str, built: Built) -> str:
    """How a target was built, in a line: Net(depth=12 from a call site), input x=float32[32,64] inferred."""
    given = ", ".join(f"{a.name}={a.expression}{_from(a)}" for a in built.arguments)
    inputs = ", ".join(f"{a.name}={a.expression} {a.origin}" for a in built.inputs)
    return "; ".join([f"{name}({given})" + (f", input {inputs}" if inputs else ""), *built.notes])


def _from(argument: Argument) -> str:
    return f" {argument.origin}" if argument.origin == "guessed" else f" from {argument.origin}"
