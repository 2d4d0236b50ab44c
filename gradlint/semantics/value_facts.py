"""Value facts: the interpretation that follows sign, zero and boundedness through tensor code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeGuard

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.semantics.classes import is_differentiated, is_module
from gradlint.semantics.declared import declared
from gradlint.semantics.effects import is_check, overwrites
from gradlint.semantics.endings import Endings
from gradlint.semantics.extent import fits
from gradlint.semantics.flow import Flow
from gradlint.semantics.gradients import SWITCHES, gradient_of, mode_of, roots_of
from gradlint.semantics.guarded import Guarded
from gradlint.semantics.interpretation import Arguments, Interpretation, Operand, Site
from gradlint.semantics.maxima import is_argmax
from gradlint.semantics.objects import (
    LEAVES,
    PARAMETER,
    SAME_OBJECT,
    copied,
    creation,
    is_layer,
    leaf_gradient,
    one_of,
    registered,
)
from gradlint.semantics.ops import NON_DIFFERENTIABLE, TRANSFER, canonical, module_primitive
from gradlint.semantics.ops.decomposition import output_of
from gradlint.semantics.ops.structure import RANDOM, indices_of, moment_of
from gradlint.semantics.ops.table import cast
from gradlint.semantics.tensor import (
    CALL,
    INPUT,
    REARRANGING,
    TOP,
    Application,
    Facts,
    Tensor,
    facts_of,
    made,
)
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Constructed,
    Instance,
    Items,
    Known,
    Reference,
    Table,
    Value,
)

_DEEPEST = 4
_LONGEST_HELPER = 60
"""Nested calls, and lines of a function, up to which calls are followed."""

_ARRAY_METHODS = frozenset({"astype", "asnumpy", "copy_to_host"})
_ARRAY_MODULES = ("numpy.", "scipy.", "pandas.", "cv2.", "PIL.")
_LOADERS = frozenset(
    {"torch.load", "torchvision.io.read_image", "torchaudio.load", "safetensors.torch.load_file"}
)
"""What reads tensors from a file, which come without a graph."""
_METADATA = frozenset({"shape", "ndim", "dtype", "device", "requires_grad", "is_cuda", "layout", "names"})
_MOST_COMPARED = 16
_SAME_ELEMENTS = frozenset({"T", "mT", "H", "mH", "real"})
_LINEAR = ("torch.nn.Linear", "torch.nn.Conv", "torch.nn.ConvTranspose")
_READERS = frozenset(
    {"float", "int", "bool", "str", "repr", "len", "isinstance", "hasattr", "type", "print", "range"}
)
_WRITERS = frozenset(
    {"save", "write", "imwrite", "imsave", "imshow", "save_image", "add_scalar", "add_image", "add_images"}
    | {"add_audio", "add_histogram"}
)
"""What puts numbers into a file or a picture, from where no gradient comes back."""


class StoredAttribute(Value, frozen=True, eq=False):
    """`receiver.name = operand` was executed at `site`, after `order` applications.

    The name is empty where it is not known.
    """

    receiver: Value
    name: str
    operand: Operand
    site: Site
    order: int = 0


class ValueFacts(Interpretation):
    """Collects every primitive that is applied, with what is known of its operands."""

    def __init__(self, looks_into: int = 2) -> None:
        """Of modules of the project that are called, it is found out what they end in, `looks_into` deep."""
        self.applications: list[Application] = []
        self.stores: list[StoredAttribute] = []
        self.reasons: Counter[str] = Counter()
        self.arrays: set[str] = set()
        self.flow = Flow()
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._kept: list[Value] = []
        self._count = 0
        self._guarded = Guarded()
        self._tracking: list[bool] = []
        self._endings = Endings(ValueFacts(looks_into - 1)) if looks_into else None

    def begin(self, tracked: bool = True) -> None:
        """Forget what held of one function before another is run."""
        self.applications = []
        self.stores = []
        self.arrays = set()
        self.flow = Flow()
        self._numbers = {}
        self._kept = []
        self._guarded = Guarded()
        self._tracking = [tracked]

    # values

    def _number(self, key: tuple[Any, ...] | None) -> int:
        if key is not None and key in self._numbers:
            return self._numbers[key]
        self._count += 1
        if key is not None:
            self._numbers[key] = self._count
        return self._count

    def _key(self, value: Value) -> object:
        if isinstance(value, Tensor):
            return value.number
        if isinstance(value, Known) and isinstance(value.value, (int, float, str, bool, tuple, type(None))):
            return (type(value.value).__name__, value.value)
        if isinstance(value, Items) and _is_comparable(value):
            return tuple([self._key(item) for item in value.items])
        self._kept.append(value)
        return id(value)

    def unknown(self, sources: Sequence[Value]) -> Tensor:
        """A value made of `sources` somewhere else, of which only its origins are known."""
        number = self._number(None)
        self.flow.leaves_into(number, sources)
        return Tensor(number, TOP, roots_of(sources), gradient_of(sources))

    def _derived(
        self, sources: Sequence[Value], facts: Facts = TOP, producer: Application | None = None
    ) -> Tensor:
        """A new value that is made of `sources` and nothing else."""
        number = self._number(None)
        self.flow.into(number, sources)
        return Tensor(number, facts, roots_of(sources), gradient_of(sources), producer)

    def parameter(self, parameter: ir.Parameter, closure: Closure) -> Value:
        """A parameter, as its annotation or its default tells."""
        if parameter.kind == "arguments":
            inner = Tensor(self._number(None), INPUT, frozenset({parameter.name}))
            return Items("tuple", [inner], ir.Display(parameter.span, "tuple", ()), True)
        return declared(parameter, self._number(None))

    def join(self, values: Sequence[Value]) -> Value:
        """What holds of all of them."""
        if all(is_layer(value) for value in values):
            return one_of(values)
        merged: Facts | None = None
        for value in values:
            if isinstance(value, (Closure, ClassObject, Instance, Reference, Constructed, Items, Table)):
                return self._derived(values)
            facts = self._joinable(value)
            merged = facts if merged is None else merged.joined(facts)
        assert merged is not None
        producers = {id(v.producer): v.producer for v in values if isinstance(v, Tensor)}
        made = next((producer for producer in producers.values() if producer is not None), None)
        if len(producers) > 1 and made is not None:
            operands = tuple([Operand(value, made.site.node) for value in values])
            made = Application("either", "join", operands, {}, made.site, made.tracked)
        return self._derived(values, merged, made)

    def _joinable(self, value: Value) -> Facts:
        """What a branch contributes: not that a constant is 0, nor what was looked at before."""
        facts = facts_of(value)
        seen = isinstance(value, Known) or self._guarded.has(value)
        return facts.without_witnesses() if seen else facts

    # primitives

    def _apply(
        self,
        primitive: str,
        form: str,
        operands: tuple[Operand, ...],
        keywords: dict[str, Operand],
        site: Site,
    ) -> Value:
        operands, keywords = _placed(operands, keywords)
        operands = self._guarded.operands(operands)
        values = [operand.value for operand in (*operands, *keywords.values())]
        primitive = cast(primitive, values)
        transfer = TRANSFER.get(primitive)
        if transfer is None:
            result = self._derived(values) if _is_pure(primitive, form) else self.unknown(values)
            number = result.number
            application = Application(primitive, form, operands, keywords, site, self._tracked(), number)
            self.applications.append(application)
            grad = result.grad if application.tracked else False
            return Tensor(number, TOP, result.roots, grad, application)
        key = (
            primitive,
            *[self._key(o.value) for o in operands],
            *[(k, self._key(o.value)) for k, o in keywords.items()],
        )
        number = self._number(None if primitive in LEAVES or primitive in RANDOM else key)
        application = Application(primitive, form, operands, keywords, site, self._tracked(), number)
        facts = transfer(application)
        if facts is None:
            return self.unknown(values)
        if (facts.zero or facts.one) and self._guarded.holds(number, values):
            facts = facts.without_witnesses()
        self.applications.append(application)
        if primitive == "numpy" and operands:
            self.flow.without_gradient(operands[0].value)
        if primitive in REARRANGING:
            values = values[:1]
        grad = self._grad_of(application, values)
        if grad is not False:
            self.flow.into(number, values)
        roots = frozenset[str]() if primitive == PARAMETER else roots_of(values)
        return Tensor(number, facts, roots, grad, application)

    def _grad_of(self, application: Application, values: Sequence[Value]) -> bool | None:
        """Whether the result of an application carries a gradient."""
        primitive = application.primitive
        switch = application.operand(1, "requires_grad") if primitive == "requires_grad_" else None
        switch = switch or application.keywords.get("requires_grad")
        if switch is not None or primitive in LEAVES:
            return leaf_gradient(primitive, switch)
        if primitive in NON_DIFFERENTIABLE or not application.tracked:
            return False
        return gradient_of(values)

    def _note_effects(self, name: str, operands: Sequence[Operand], arguments: Arguments) -> None:
        """Heed what a call does to its operands by its name: test them, or change them in place."""
        if is_check(name):
            for operand in operands:
                self.tested(operand.value)
        if overwrites(name, arguments) and operands:
            self._guarded.overwritten(operands[0].value)
        if "out" in arguments.keywords:
            self._guarded.overwritten(arguments.keywords["out"].value)

    def call(self, reference: Reference, arguments: Arguments, site: Site) -> Value:
        """A function or class from outside the project."""
        result = self._call(reference.name, arguments, site)
        self._note_effects(reference.name, arguments.positional, arguments)
        is_constant = not isinstance(result, Tensor) or not arguments.open
        return result if is_constant else self._derived((result,))

    def _call(self, name: str, arguments: Arguments, site: Site) -> Value:
        if name.rpartition(".")[2] in _WRITERS:
            return Known(None)
        if name.startswith(_ARRAY_MODULES):
            self.arrays |= roots_of(arguments.values())
            return Tensor(self._number(None), TOP, roots_of(arguments.values()), False)
        if name in _LOADERS:
            return Tensor(self.unknown(arguments.values()).number, TOP, roots_of(arguments.values()), False)
        if (copy := copied(name, arguments)) is not None:
            return copy
        if (primitive := creation(name)) is not None:
            return self._apply(primitive, "constructor", arguments.positional, arguments.keywords, site)
        if name.startswith(("torch.nn.functional.", "torch.special.", "torch.linalg.")) or (
            name.startswith("torch.") and name.count(".") == 1 and not name[6:7].isupper()
        ):
            if name in SWITCHES:
                return Constructed(name, tuple(o.value for o in arguments.positional), {}, site.node)
            return self._apply(canonical(name), "function", arguments.positional, arguments.keywords, site)
        if name.startswith("torch.Tensor.") and arguments.positional:
            return self._apply(canonical(name), "function", arguments.positional, arguments.keywords, site)
        if name.startswith("torch.") and name.rpartition(".")[2][:1].isupper():
            return self._construct(name, arguments, site)
        if name.startswith("einops.") and arguments.positional:
            return self._apply(
                name.rpartition(".")[2], "function", arguments.positional, arguments.keywords, site
            )
        if name.startswith(("math.", "builtins.")):
            return self._python(name, arguments, site)
        return self._apply(name, "function", arguments.positional, arguments.keywords, site)

    def _python(self, name: str, arguments: Arguments, site: Site) -> Value:
        """A function of Python itself: its result is no tensor, but for those that choose or add."""
        values = arguments.values()
        if name == "builtins.sum" and values and isinstance(values[0], Items):
            return self.unknown(values)
        if name in ("builtins.abs", "builtins.pow"):
            return self._apply(name[9:], "function", arguments.positional, {}, site)
        if name in ("builtins.float", "builtins.int") and len(values) == 1 and isinstance(values[0], Tensor):
            return self._apply("item", "function", arguments.positional, {}, site)
        if name.startswith("math.") or name[9:] in _READERS:
            return Tensor(self._number(None), grad=False)
        return self.unknown(values)

    def method(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of a tensor, or of something that may be one."""
        value = receiver.value
        if isinstance(value, Constructed) and name in ("__call__", "forward"):
            return self._call_module(value, arguments, site)
        if isinstance(value, (Constructed, Instance)):
            return self._object_method(receiver, name, arguments, site)
        if name in _WRITERS and not arguments.open:
            return Known(None)
        if name in _ARRAY_METHODS:
            self.arrays |= roots_of((value,))
        if name == "__call__":
            return self._called(value, arguments, site)
        operands = (receiver, *arguments.positional)
        result = self._apply(canonical(name), "method", operands, arguments.keywords, site)
        self._note_effects(name, operands, arguments)
        is_hidden = arguments.open and canonical(name) not in REARRANGING
        return self._derived((result,)) if is_hidden else result

    def _object_method(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of a module or another object; its primitive begins with a dot."""
        value = receiver.value
        self._note_effects(name, arguments.positional, arguments)
        made = self._apply(f".{name}", "method", (receiver, *arguments.positional), arguments.keywords, site)
        if isinstance(value, Constructed):
            return value if name in SAME_OBJECT else made
        found = registered(name, arguments)
        if found is None:
            return self._called(self.attribute(receiver, name, site), arguments, site)
        attribute, stored = found
        if isinstance(value, Instance) and attribute and not isinstance(stored.value, Known):
            self.evaluator.heap.write(value.attributes, attribute, stored.value)
        self.stored(value, attribute, stored, site)
        return Known(None)

    def inherited(self, receiver: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """`super().__init__(*layers)` gives a container its layers; other methods do what they do."""
        if name == "__init__" and isinstance(receiver, Instance) and arguments.positional:
            parts = one_of([o.value for o in arguments.positional], site.node)
            self.evaluator.heap.write(receiver.attributes, "super()", parts)
            return Known(None)
        if registered(name, arguments) is not None:
            return self._object_method(Operand(receiver, site.node), name, arguments, site)
        return self.unknown([receiver, *arguments.values()])

    def construct(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """A module of the project."""
        if not is_module(cls):
            return self.unknown(arguments.values())
        return self._construct(f"{cls.scope.name}.{cls.definition.name}", arguments, site, cls)

    def _construct(
        self, name: str, arguments: Arguments, site: Site, cls: ClassObject | None = None
    ) -> Constructed:
        positional, keywords = arguments.positional, arguments.keywords
        self.applications.append(
            Application(name, "constructor", positional, keywords, site, self._tracked())
        )
        self.flow.leaves(arguments.values())
        values = {key: operand.value for key, operand in keywords.items()}
        made = Constructed(name, tuple([o.value for o in positional]), values, site.node, cls)
        return made if fits(made) else Constructed(name, (), {}, site.node, cls)

    def _called(self, value: Value, arguments: Arguments, site: Site) -> Value:
        """Something unknown was called: a module, most likely, so a gradient may flow."""
        called = site.node.function if isinstance(site.node, ir.Call) else None
        self._note_effects(getattr(called, "id", ""), arguments.positional, arguments)
        made = self.unknown([value, *arguments.values()])
        grad = (gradient_of(arguments.values()) or None) if self._tracked() else False
        return Tensor(made.number, TOP, made.roots, grad, _call_of(value, arguments, site))

    def _call_module(self, module: Constructed, arguments: Arguments, site: Site) -> Value:
        primitive = module_primitive(module.name)
        if primitive is not None and not (primitive == "hardtanh" and module.positional):
            keywords = {name: Operand(value, module.node) for name, value in module.keywords.items()}
            if module.positional and primitive in ("softmax", "log_softmax"):
                keywords["dim"] = Operand(module.positional[0], module.node)
            return self._apply(primitive, "module", arguments.positional, keywords, site)
        if module.name == "torch.nn.Sequential" and len(arguments.positional) == 1:
            return self._call_sequence(module, arguments, site)
        made = self._module_output(module, arguments, site)
        last = None if self._endings is None else self._endings.of(module, self.evaluator)
        return made if last is None else self._ended(made, last, site)

    def _ended(self, made: Tensor, last: Application, site: Site) -> Value:
        """The output of a module that passes `last` at the end."""
        before = Operand(replace(made, facts=last.facts(0)), site.node)
        axis = last.operand(1, "dim")
        keywords = {"dim": axis} if last.primitive == "softmax" and axis is not None else {}
        return self._apply(last.primitive, "module", (before,), keywords, site)

    def _module_output(self, module: Value, arguments: Arguments, site: Site) -> Tensor:
        made = self._derived(arguments.values())
        inputs = facts_of(arguments.positional[0].value) if arguments.positional else TOP
        facts = Facts(vanishes=inputs.vanishes) if _is_linear(module) else TOP
        return Tensor(made.number, facts, made.roots, self._tracked(), _call_of(module, arguments, site))

    def _call_sequence(self, module: Constructed, arguments: Arguments, site: Site) -> Value:
        value = arguments.positional[0]
        for part in module.positional:
            if isinstance(part, Constructed):
                result = self._call_module(part, Arguments((value,)), site)
            else:
                result = self._module_output(part, Arguments((value,)), site)
            value = Operand(result, site.node)
        return value.value

    def operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        """An operator of Python."""
        if name in ("is", "is_not", "in", "not_in"):
            return Tensor(self._number(None), grad=False)
        if name in ("and", "or", "not"):
            values = [operand.value for operand in operands]
            made = self._derived(values)
            application = Application(name, "operator", operands, {}, site, False)
            return Tensor(made.number, TOP, made.roots, made.grad, application)
        form = "in-place" if name in ir.IN_PLACE else "operator"
        result = self._apply(canonical(ir.IN_PLACE.get(name, name)), form, operands, {}, site)
        if form == "in-place":
            self._guarded.overwritten(operands[0].value)
        return result

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """An attribute of a tensor, or of an object whose class says nothing about it."""
        value = receiver.value
        if isinstance(value, Instance):
            found = Tensor(self._number(None), TOP, frozenset({f"self.{name}"}))
            value.attributes[name] = found
            return found
        if isinstance(value, Constructed):
            number = self._number(("attribute", name, self._key(value)))
            return Tensor(number, TOP, frozenset({name}), True if value.type is None else None)
        if name in _METADATA:
            return Tensor(self._number(("attribute", name, self._key(value))), grad=False)
        if name in ("data", "grad"):
            return self._apply("detach", "attribute", (receiver,), {}, site)
        if (output := self._output(receiver, name, site)) is not None:
            return output
        if name == "values" and isinstance(value, Tensor):
            return value
        if name == "imag":
            return self._apply("imag", "attribute", (receiver,), {}, site)
        number = self._number(("attribute", name, self._key(value)))
        self.flow.into(number, (value,))
        if name in _SAME_ELEMENTS and isinstance(value, Tensor):
            return replace(value, number=number)
        return Tensor(number, TOP, roots_of((value,)), value.grad if isinstance(value, Tensor) else None)

    def index(self, receiver: Operand, index: Value, site: Site) -> Value:
        """An item or a slice: the same elements, but for a mask, which may have chosen them well."""
        value = receiver.value
        if not isinstance(value, Tensor):
            return self.unknown((value, index))
        if isinstance(index, Known) and (output := self._output(receiver, index.value, site)) is not None:
            return output
        if (axes := _added_axes(site.node)) is not None:
            return self._apply("unsqueeze", "index", (receiver, Operand(axes, site.node)), {}, site)
        if facts_of(index).boolean or _is_mask(index):
            mask = Operand(index, site.node.index if isinstance(site.node, ir.Index) else site.node)
            return self._apply("masked_select", "index", (receiver, mask), {}, site)
        if is_argmax(index):
            return self._apply("take", "index", (receiver, Operand(index, site.node)), {}, site)
        number = self._number(("index", value.number, self._key(index)))
        self.flow.into(number, (value,))
        facts = value.facts.without_witnesses() if self._guarded.has(value) else value.facts
        return Tensor(number, facts, value.roots, value.grad, value.producer)

    def _output(self, receiver: Operand, key: object, site: Site) -> Value | None:
        """One output of an operation that has several, by position or name."""
        found = made(receiver.value)
        if found is None:
            return None
        moment = moment_of(found.primitive, key)
        if moment is not None:
            return self._apply(moment, found.form, found.operands, found.keywords, found.site)
        output = output_of(found.primitive, key) or indices_of(found, key)
        return None if output is None else self._apply(output, "item", (receiver,), {}, site)

    def replaced(self, receiver: Operand, index: Operand, value: Operand, site: Site) -> Value:
        """`x[index] = value`."""
        result = self._apply("index_put", "in-place", (receiver, index, value), {}, site)
        self._guarded.overwritten(receiver.value)
        return result

    def element(self, iterable: Value, site: Site) -> Value:
        """One item of something unknown."""
        if isinstance(iterable, Tensor):
            return self._derived((iterable,), iterable.facts, iterable.producer)
        return self.unknown((iterable,))

    # control

    def tested(self, value: Value) -> None:
        """What a test looks at is taken as guarded from here on."""
        self._guarded.tested(value)

    def carried(self, values: Sequence[Value], before: Sequence[Value]) -> None:
        """The next iteration may differentiate them."""
        self.flow.leaves(values)

    def stored(self, receiver: Value, name: str, value: Operand, site: Site) -> Value | None:
        """Remember assignments to attributes; a parameter is called after its attribute."""
        self.stores.append(StoredAttribute(receiver, name, value, site, len(self.applications)))
        if name == "data":
            self._guarded.overwritten(receiver)
        if name not in ("data", "grad"):
            self.flow.leaves((value.value,))
        if isinstance(receiver, Instance) and _is_parameter(value.value):
            receiver.attributes[name] = replace(value.value, roots=frozenset({f"self.{name}"}))
        if name == "data" and isinstance(receiver, Tensor):
            return self._filled_in(receiver, made(value.value, "index_put"), site)
        if name == "requires_grad" and isinstance(receiver, Tensor):
            return self._apply("requires_grad_", "store", (Operand(receiver, site.node), value), {}, site)
        return None

    def _filled_in(self, receiver: Tensor, filling: Application | None, site: Site) -> Value | None:
        """What is computed, after `x.data[index] = value`."""
        if filling is None or receiver.producer is None or receiver.producer.primitive == PARAMETER:
            return None
        operands = (Operand(receiver, site.node), *filling.operands[1:])
        return self._apply("index_put", "in-place", operands, {}, site)

    def _tracked(self) -> bool:
        return self._tracking[-1] if self._tracking else True

    def enter(self, context: Value) -> None:
        """`with torch.no_grad():` and its kin."""
        self._tracking.append(self._tracked() if (mode := mode_of(context)) is None else mode)

    def leave(self, context: Value) -> None:
        """The block ends."""
        self._tracking.pop()

    def follows(self, target: Closure | ClassObject, depth: int) -> bool:
        """Helper functions are followed; long ones are none, and what a module computes is its own matter."""
        if isinstance(target, ClassObject):
            return depth < _DEEPEST and not is_module(target)
        if target.owner is not None and not is_differentiated(target.owner):
            return False
        span = target.function.span
        return depth < _DEEPEST and span.end_line - span.line < _LONGEST_HELPER

    def not_understood(self, reason: str) -> None:
        """Counted, for `--show-coverage`."""
        self.reasons[reason] += 1


def _placed(
    operands: tuple[Operand, ...], keywords: dict[str, Operand]
) -> tuple[tuple[Operand, ...], dict[str, Operand]]:
    """The operands of a call whose first ones are named, `input` and `other`, in their places."""
    if operands or "input" not in keywords or "condition" in keywords:
        return operands, keywords
    names = [name for name in ("input", "other") if name in keywords]
    rest = {name: operand for name, operand in keywords.items() if name not in names}
    return tuple([keywords[name] for name in names]), rest


def _is_pure(primitive: str, form: str) -> bool:
    """Whether a primitive that the table does not know is a function of torch, which keeps nothing."""
    return form == "function" and ("." not in primitive or primitive.startswith(("linalg.", "fft.")))


def _is_linear(module: Value) -> bool:
    """Whether a module is linear, without a bias."""
    bias = module.keywords.get("bias") if isinstance(module, Constructed) else None
    is_off = isinstance(bias, Known) and bias.value is False
    return is_off and isinstance(module, Constructed) and module.name.startswith(_LINEAR)


def _call_of(function: Value, arguments: Arguments, site: Site) -> Application:
    """The call of a module as what produced its output."""
    operands = (Operand(function, site.node), *arguments.positional)
    return Application(CALL, "method", operands, arguments.keywords, site)


def _added_axes(node: ir.Expression) -> Known | None:
    """Where an index that consists of `None`, `:` and `...` only puts new axes."""
    index = node.index if isinstance(node, ir.Index) else None
    parts = [_axis(part) for part in (index.items if isinstance(index, ir.Display) else (index,))]
    return Known("".join(parts)) if "n" in parts and "" not in parts else None


def _axis(part: ir.Expression | None) -> str:
    if isinstance(part, ir.Literal) and part.value is None:
        return "n"
    if isinstance(part, ir.Slice):
        return ":" if part.lower is part.upper is part.step is None else ""
    return "." if isinstance(part, ir.Unknown) and part.kind == "ellipsis" else ""


def _is_mask(index: Value) -> bool:
    return isinstance(index, Tensor) and index.producer is not None and index.facts.boolean


def _is_parameter(value: Value) -> TypeGuard[Tensor]:
    """Whether `value` is a new parameter that has no name yet."""
    if not isinstance(value, Tensor) or value.producer is None or value.roots:
        return False
    return value.grad is True and value.producer.primitive == PARAMETER


def _is_comparable(value: Items) -> bool:
    """Whether it is worth to compare two such lists item by item."""
    nested = any(isinstance(item, Items) for item in value.items)
    return not value.open and not nested and len(value.items) <= _MOST_COMPARED
