"""Unknown objects and tests, told apart: the same expression of the same things is the same symbol."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from gradlint.semantics.constants import fold
from gradlint.semantics.interpretation import Operand
from gradlint.semantics.value import Collection, Items, Known, Value
from gradlint.training.lengths import Lengths
from gradlint.training.values import SCALE, Copy, Either, Symbol, Tensor, Truth, born_of, key_of, negated

_CONTRARY = {"ne": "eq", "is_not": "is", "ge": "lt", "le": "gt", "not_in": "in"}
_MOST_COMPARED = 32
_TESTS = frozenset({*_CONTRARY, *_CONTRARY.values(), "not", "and", "or"})


class Symbols:
    """Makes symbols and tests, each once."""

    def __init__(self) -> None:
        self._count = 0
        self._known: dict[Hashable, Symbol] = {}
        self._atoms: dict[Hashable, int] = {}
        self._kept: list[Value] = []
        self._remainders: set[int] = set()
        self._defaults: dict[int, bool] = {}
        self._asked: dict[int, frozenset[int]] = {}
        self.lengths = Lengths()
        self.periodic: set[int] = set()
        """The tests that hang on a remainder, as in `i % n == 0`, or on a counter that is set back."""

    @property
    def count(self) -> int:
        """The number that the next symbol gets."""
        return self._count

    def fresh(self, parent: Value | None = None, type: str = "", name: str = "") -> Symbol:
        """Something new of which nothing is known."""
        self._count += 1
        return Symbol(self._count, self._count, {}, parent, type, name)

    def copy(self, original: Value, type: str) -> Copy:
        """A deep copy of something, made by what is called `type`."""
        self._count += 1
        return Copy(self._count, self._count, {}, type=type, original=original)

    def derived(
        self, what: Hashable, sources: Sequence[Value], type: str = "", default: Value | None = None
    ) -> Symbol:
        """What is always the same as long as its sources are."""
        key = (what, *map(key_of, sources))
        found = self._known.get(key)
        if found is None:
            self._kept.extend(sources)
            self._count += 1
            born = max(map(born_of, sources), default=0)
            found = self._known[key] = Symbol(self._count, born, {}, None, type, default=default)
        return found

    def part(self, of: Symbol, name: str) -> Symbol:
        """An attribute of an unknown object, as old as that."""
        self._count += 1
        return Symbol(self._count, of.born, {}, of, "", name)

    def member(self, of: Value) -> Symbol:
        """An attribute of an object of the project, which is taken to be there from the beginning."""
        self._count += 1
        return Symbol(self._count, 0, {}, of)

    # tests

    def fresh_test(self) -> Truth:
        """A test of which nothing is known."""
        self._count += 1
        return Truth(self._atoms.setdefault(("fresh", self._count), len(self._atoms)), self._count)

    def _test(self, what: Hashable, sources: Sequence[Value]) -> Truth:
        key = (what, *map(key_of, sources))
        self._kept.extend(sources)
        atom = self._atoms.setdefault(key, len(self._atoms))
        self._asked[atom] = frozenset([value.number for value in sources if isinstance(value, Symbol)])
        if any(self._is_periodic(source) for source in sources):
            self.periodic.add(atom)
        self.lengths.tests(what, sources, atom)
        default = self._default("bool" if what == "truth" else what, sources)
        if isinstance(default, Known):
            self._defaults[atom] = bool(default.value)
        return Truth(atom, max(map(born_of, sources), default=0))

    def by_default(self, test: Truth) -> bool | None:
        """How a test comes out in a run that is told nothing but its defaults, where that is known."""
        outcome = self._defaults.get(test.atom)
        return outcome if outcome is None else outcome is not test.is_negated

    def _default(self, what: Hashable, sources: Sequence[Value]) -> Known | None:
        """What an operator gives for the defaults of settings; None where one of its operands has none."""
        found = [self._plain(source) for source in sources]
        if not isinstance(what, str) or any(each is None for each in found):
            return None
        values = [each.value for each in found if each is not None]
        if what == "in":
            return Known(values[0] in values[1]) if isinstance(values[1], tuple) else None
        return Known(bool(values[0])) if what == "bool" else fold(what, values)

    def _plain(self, value: Value) -> Known | None:
        """The constant that a value is, by default if it is a setting."""
        if isinstance(value, Truth):
            outcome = self.by_default(value)
            return None if outcome is None else Known(outcome)
        if isinstance(value, Symbol):
            return None if value.default is None else self._plain(value.default)
        if isinstance(value, Items) and not value.open and len(value.items) <= _MOST_COMPARED:
            parts = [self._plain(part) for part in value.items]
            known = [part.value for part in parts if part is not None]
            return Known(tuple(known)) if len(known) == len(parts) else None
        return value if isinstance(value, Known) else None

    def counts(self, left: Value) -> None:
        """An iteration leaves this in a variable: a counter, where a test of it says when to begin anew."""
        if isinstance(left, Either) and left.test is not None and any(map(_is_number, left.options)):
            counted = {value.number for value in left.options if isinstance(value, Symbol)}
            if counted & self._asked.get(left.test.atom, frozenset()):
                self.periodic.add(left.test.atom)

    def _is_periodic(self, value: Value) -> bool:
        if isinstance(value, Truth):
            return value.atom in self.periodic
        return isinstance(value, Symbol) and value.number in self._remainders

    def truth(self, value: Value) -> Truth | None:
        """The test that `if value:` makes; None where it has no identity, or a known outcome."""
        if isinstance(value, Truth):
            return value
        if isinstance(value, Either):
            return self._of_either(value)
        return self._test("truth", (value,)) if isinstance(value, Symbol) else None

    def outcome(self, value: Value) -> bool | None:
        """How `if value:` is decided, where that is known."""
        if isinstance(value, Known):
            return bool(value.value)
        if isinstance(value, Either):
            found = {self.outcome(option) for option in value.options}
            return found.pop() if len(found) == 1 else None
        if isinstance(value, (Symbol, Truth, Tensor, Collection)):
            return None
        return True

    def _of_either(self, value: Either) -> Truth:
        found = [self.outcome(option) for option in value.options]
        if value.test is not None and found == [True, False]:
            return value.test
        if value.test is not None and found == [False, True]:
            return negated(value.test)
        return self._test("truth", (value,))

    def operator(self, name: str, operands: Sequence[Operand]) -> Value:
        """The result of an operator on values that are no tensors."""
        values = [operand.value for operand in operands]
        if name == "not":
            return self._contrary(values[0])
        if name in ("and", "or"):
            return self._junction(name, values)
        plain = _CONTRARY.get(name, name)
        if plain in ("is", "eq") and any(_is_none(value) for value in values):
            result = self._is_none(values)
        elif plain not in _TESTS:
            scaled = any(isinstance(value, Symbol) and value.type == SCALE for value in values)
            default = self._default(name, values)
            made = self.derived(("operator", name), values, SCALE if scaled else "", default)
            if name == "mod":
                self._remainders.add(made.number)
            self.lengths.computes(name, values, made)
            return made
        else:
            result = self._test(plain, values)
        return result if plain == name else self._contrary(result)

    def _contrary(self, value: Value) -> Value:
        decided = self.outcome(value)
        if decided is not None:
            return Known(not decided)
        test = self.truth(value)
        return self.fresh() if test is None else negated(test)

    def _is_none(self, values: Sequence[Value]) -> Value:
        """`x is None`: whether an object is missing, which is whether it is false."""
        value = next((each for each in values if not _is_none(each)), Known(None))
        found = [_missing(option) for option in (value.options if isinstance(value, Either) else (value,))]
        if len(set(found)) == 1 and found[0] is not None:
            return Known(found[0])
        if isinstance(value, Either) and value.test is not None and None not in found:
            return value.test if found[0] else negated(value.test)
        return negated(self._test("truth", (value,)))

    def _junction(self, name: str, values: Sequence[Value]) -> Value:
        tests = [self.truth(value) for value in values]
        known = [test for test in tests if test is not None]
        if name == "or" and not all(isinstance(value, Truth) for value in values):
            return Either(tuple(values), tests[0]) if len(values) == 2 else self.fresh()
        if not known:
            return self.fresh()
        whole = self._test(name, known)
        return Truth(whole.atom, whole.born, False, name, tuple(known))


def _is_number(value: Value) -> bool:
    return isinstance(value, Known) and isinstance(value.value, int)


def _is_none(value: Value) -> bool:
    return isinstance(value, Known) and value.value is None


def _missing(value: Value) -> bool | None:
    """Whether a value is None; None where that is not known."""
    if isinstance(value, Either):
        found = {_missing(option) for option in value.options}
        return found.pop() if len(found) == 1 else None
    return None if isinstance(value, (Symbol, Tensor)) else _is_none(value)
