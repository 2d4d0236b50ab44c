"""Parameters that are trained otherwise than by a gradient of what the model returns, and are meant to be."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .subject import Subject


def trained_otherwise(subject: Subject, names: Iterable[str]) -> frozenset[str]:
    """Those of some parameters that forward itself writes, or of which an estimator takes the value alone.

    An estimator is a sum x + (q - x).detach(): it has the value of q and the gradient of x.
    """
    asked = frozenset(names)
    return (asked & subject.run().estimated) | _written(subject, asked) if asked else asked


def _written(subject: Subject, names: frozenset[str]) -> frozenset[str]:
    """The parameters that a forward pass changes or replaces, as moving averages of a codebook."""
    with subject.set_up():
        model = subject.model()
        before = {name: p.detach().clone() for name, p in model.named_parameters() if name in names}
        positional, named = subject.inputs()
        with torch.no_grad():
            model(*positional, **named)
        after = dict(model.named_parameters())
    same = {name for name, p in before.items() if name in after and torch.equal(p, after[name])}
    return frozenset(before.keys() - same)
