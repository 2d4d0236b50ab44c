"""What keeps a model from being trained at all: a backward pass that raises, or gradients that are all 0."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from .forms import BOOL, LIST, VALUE, Form
from .observe import gives_way, tensors
from .otherwise import trained_otherwise
from .subject import Subject, is_in_place

LATER = 2
"""Steps of gradient descent after which a layer that runs has to get a gradient."""
SEEDS = (0, 1, 2)


def raised(subject: Subject) -> str:
    """What autograd holds against the model: a value that it needs was changed in place; empty if nothing.

    Raises whatever else a run of it raises, also where a result by itself passes its gradient on.
    """
    try:
        subject.run()
    except RuntimeError as error:
        if not is_in_place(error) or not all(_of_each_result(subject)):
            raise
        told = re.split(r"\.? Hint:", " ".join(str(error).split()))[0].rstrip(".")
        return f"training raises {type(error).__name__}: {told}"
    return ""


def _of_each_result(subject: Subject) -> Iterator[bool]:
    """Of each result of a plain run by itself, whether its backward pass finds a value changed in place."""
    with subject.set_up():
        positional, named = subject.inputs()
        try:
            results = [y for y in tensors(subject.model()(*positional, **named)) if y.requires_grad]
        except RuntimeError as error:
            yield is_in_place(error)
            return
        for result in results:
            yield is_in_place(gives_way(result))


def is_silent(subject: Subject) -> bool:
    """Whether every gradient is 0, also of most seeds after steps of descent, where nothing else trains.

    Weights that begin at zero get a gradient of their own, and let others by after a step.
    """
    if not subject.run().is_silent:
        return False
    later = (replace(subject, seed=seed, updates=LATER) for seed in SEEDS)
    names = [name for name, p in subject.model().named_parameters() if p.requires_grad]
    silent = sum(each.run().is_silent for each in later)
    return 2 * silent > len(SEEDS) and not trained_otherwise(subject, names)


def is_uniform(form: Form) -> bool:
    """Whether an input has one value throughout, as a mask that may hide everything."""
    if form.kind == LIST:
        return any(map(is_uniform, form.items))
    return form.kind in (BOOL, VALUE)
