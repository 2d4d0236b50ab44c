"""`torch.distributions`: a distribution lets a gradient pass to its parameters, a sample of it does not."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.graph.recorder import Recorder
from gradlint.graph.values import Signal, Weight, signals
from gradlint.semantics.interpretation import Site
from gradlint.semantics.value import Value

OP = "distribution"

SAMPLING = frozenset({"sample", "sample_n"})
"""Methods that torch runs under `no_grad`."""


def is_distribution(name: str) -> bool:
    """Whether a qualified name is that of a class of distributions."""
    last = name.rpartition(".")[2]
    return name.startswith("torch.distributions.") and last[:1].isupper() and not last.endswith("Transform")


def distribution(recorder: Recorder, values: Sequence[Value], site: Site) -> Signal | None:
    """A distribution whose parameters are `values`; None where no signal and no weight is among them."""
    inputs = [recorder.signal(value, site) for value in values if isinstance(value, Weight)]
    inputs += [signal for value in values for signal in signals(value)]
    return recorder.emit(OP, inputs, site) if inputs else None


def sampled(recorder: Recorder, value: Signal, name: str, site: Site) -> Signal | None:
    """What a method that samples gives, if `value` is a distribution."""
    if name not in SAMPLING or value.recorder is not recorder or recorder.nodes[value.number].op != OP:
        return None
    return recorder.emit("detach", (value,), site, {"by": name})
