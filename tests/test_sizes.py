"""The sizes of the parts of a signal are those that torch gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.graph.einops import rearranged
from gradlint.graph.rearrange import cut
from gradlint.graph.rearrange import rearranged as rearranged_by
from gradlint.graph.sizes import Sizes
from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.interpretation import Arguments, Operand
from gradlint.semantics.value import Items, Known, Value

NOWHERE = ir.Literal(Span(1, 1, 1, 1), None)


def value(given: int | list[int]) -> Value:
    if isinstance(given, int):
        return Known(given)
    return Items("list", [Known(each) for each in given], NOWHERE)


@pytest.mark.torch
@given(st.integers(1, 40), st.integers(1, 12), st.sampled_from(["chunk", "split", "tensor_split"]))
def test_tensors_are_cut_as_torch_does_it(size: int, by: int, name: str) -> None:
    """Where pieces differ in size they are not known, unless these were given."""
    torch = pytest.importorskip("torch")
    real = [len(part) for part in getattr(torch.zeros(size), name)(by)]
    found = cut(name, value(by), size)
    assert found is not None
    if name == "split" or size % by == 0:
        assert list(found) == real
    else:
        assert set(found) == {None}


def test_pieces_of_given_lengths_have_these() -> None:
    assert cut("split", value([2, 3]), None) == (2, 3)
    assert cut("split_with_sizes", value([2, 3]), 5) == (2, 3)
    assert cut("split", value(2), None) is None
    assert cut("chunk", value(3), None) == (None, None, None)


PATTERNS: list[tuple[Sizes, str, dict[str, int], Sizes]] = [
    (Sizes({2: 48}, 3), "b n (h d) -> b h n d", {"h": 6}, Sizes({1: 6, 3: 8}, 4)),
    (Sizes(final=48), "b n (h d) -> b h n d", {"h": 6}, Sizes({1: 6, 3: 8}, 4)),
    (Sizes({1: 6, 3: 8}, 4), "b h n d -> b n (h d)", {}, Sizes({2: 48}, 3)),
    (
        Sizes({1: 3, 2: 32, 3: 32}, 4),
        "b c (h p) (w q) -> b (h w) (p q c)",
        {"p": 8, "q": 8},
        Sizes({1: 16, 2: 192}, 3),
    ),
    (Sizes({1: 48}, 2), "b (h d) -> b h d", {}, Sizes({}, 3)),
    (Sizes({1: 48}, 2), "b (h d) -> b h d", {"h": 7}, Sizes({1: 7}, 3)),
    (Sizes({1: 4}, 2), "b c -> b c 1", {}, Sizes({1: 4, 2: 1}, 3)),
    (Sizes({2: 48}, 3), "... (h d) -> ... h d", {"h": 6}, Sizes()),
]


@pytest.mark.parametrize(("before", "pattern", "lengths", "after"), PATTERNS)
def test_patterns_say_how_long_axes_are(before: Sizes, pattern: str, lengths: Any, after: Sizes) -> None:
    assert rearranged(before, pattern, lengths) == after


@pytest.mark.torch
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.lists(st.integers(2, 4), max_size=2))
def test_tensors_are_expanded_as_torch_does_it(shape: list[int], added: list[int]) -> None:
    """What is kept moves behind the dimensions that are added in front."""
    torch = pytest.importorskip("torch")
    sizes = [*added, *[-1] * len(shape)]
    operands = tuple([Operand(value(each), NOWHERE) for each in (0, *sizes)])
    before = Sizes(dict(enumerate(shape)), len(shape))
    found = rearranged_by("expand", before, Arguments(operands))
    real = torch.zeros(shape).expand(sizes).shape
    assert found is not None
    assert (found.known, found.rank) == (dict(enumerate(real)), len(real))


def test_sizes_from_the_end_are_kept_or_forgotten() -> None:
    operands = tuple([Operand(value(each), NOWHERE) for each in (0, -1)])
    found = rearranged_by("expand", Sizes({-3: 4, -1: 8}), Arguments(operands))
    assert found is not None
    assert found.known == {-1: 8}
