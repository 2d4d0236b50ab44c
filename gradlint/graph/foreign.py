"""What functions and classes from outside the project do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from gradlint.graph import initial, spaced
from gradlint.graph.construct import (
    class_of,
)
from gradlint.graph.custom import APPLY
from gradlint.graph.distributions import distribution, is_distribution
from gradlint.graph.from_mmcv import PACKAGE as MMCV
from gradlint.graph.from_mmcv import call as from_mmcv
from gradlint.graph.from_torchvision import model as torchvision_model
from gradlint.graph.from_transformers import PACKAGE
from gradlint.graph.from_transformers import call as from_transformers
from gradlint.graph.functions import (
    LIKE,
)
from gradlint.graph.making import WRAPPING
from gradlint.graph.pretrained import pretrained
from gradlint.graph.python import is_callable
from gradlint.graph.sizes import SizeOf
from gradlint.graph.unapplied import Copied
from gradlint.graph.unbound import is_class_name, record
from gradlint.graph.values import (
    Anything,
    Container,
    Drawn,
    Layer,
    Signal,
    Weight,
    signals,
)
from gradlint.records.graph import Initial, Place, Setting
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Reference,
    Value,
)

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

_SAME = frozenset(
    {
        *("torch.nn.Buffer", "torch.nn.parameter.Buffer"),
        *("torch.compile", "torch.jit.script", "torch.jit.trace", "torch.nn.DataParallel"),
        *("torch.nn.parallel.DistributedDataParallel", "torch.nn.parallel.DataParallel"),
        *("torch.distributed.fsdp.FullyShardedDataParallel", "torch.optim.swa_utils.AveragedModel"),
        *("torch.nn.SyncBatchNorm.convert_sync_batchnorm", "torch.jit.ignore", "torch.jit.export"),
        *("torch.fx.wrap", "torch._dynamo.disable"),
        *("torch.autograd.Variable", "torch.autograd.variable.Variable", "tqdm.tqdm", "tqdm.auto.tqdm"),
    }
)

_DATA_PARALLEL = frozenset(
    {"torch.nn.parallel.data_parallel", "torch.nn.parallel.data_parallel.data_parallel"}
)

_TYPED = frozenset({"typing.cast", "typing_extensions.cast", "torch.jit.annotate"})
"""Functions that give their second argument, which the first says the type of."""

_WEIGHT_NORM = frozenset({"weight_norm", "spectral_norm", "orthogonal"})

NO_GRAD = frozenset({"torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad"})

GRAD = frozenset({"torch.enable_grad", "torch.autograd.enable_grad"})

_SET_GRAD = frozenset({"torch.set_grad_enabled", "torch.autograd.set_grad_enabled"})

_REBUILDING = frozenset(
    {"tensor", "Tensor", "FloatTensor", "DoubleTensor", "HalfTensor", "LongTensor", "from_numpy", "Variable"}
)

_FALSE = frozenset(
    {
        *("torch.jit.is_scripting", "torch.jit.is_tracing", "torch.onnx.is_in_onnx_export"),
        *("torch.compiler.is_compiling", "torch.overrides.has_torch_function", "torch._C._get_tracing_state"),
        *("torch._C._is_tracing", "torch.compiler.is_exporting"),
        *("torch.is_autocast_enabled", "torch.overrides.has_torch_function_unary"),
    }
)
"""Questions about where code runs, as a plain forward pass answers them."""

_EINX = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv"} | {
    name: name for name in ("equal", "less", "less_equal", "greater", "greater_equal")
}
"""Functions of einx by the operator that each applies, the first argument being a pattern."""

_FUSED_ATTENTION = frozenset(
    {
        *("flash_attn.flash_attn_func", "flash_attn.flash_attn_interface.flash_attn_func"),
        *("flash_attn.flash_attn_varlen_func", "flash_attn.flash_attn_interface.flash_attn_varlen_func"),
    }
)
"""Functions of queries, keys and values."""

_OF_UTILITIES = {
    "cross_entropy": "cross_entropy",
    "masked_mean": "mean",
    "pad_at_dim": "pad",
    "pad_left_at_dim": "pad",
    "pad_right_at_dim": "pad",
    "batched_index_select": "gather",
}
"""Functions of torch_einops_utils by the one of torch that does the same to the size of numbers."""

_KINDS = (ClassObject, Closure, Known, Signal, Drawn, Layer, Container, Instance)
"""Of these it is known whether they are functions."""

_PARAMETERS = frozenset(
    {
        *("torch.nn.Parameter", "torch.nn.parameter.Parameter"),
        *("torch.nn.UninitializedParameter", "torch.nn.parameter.UninitializedParameter"),
    }
)


_OF_PYTHON = ("builtins.", "math.", "copy.", "collections.", "numpy.", "itertools.", "functools.")
_OF_CHECKPOINT = ("use_reentrant", "preserve_rng_state")
"""Arguments of `checkpoint` that it does not hand on."""


class _Call(Struct, frozen=True):
    """A call of something by its full name; `last` is the last part of that, `first` the first argument."""

    name: str
    last: str
    first: Value | None
    arguments: Arguments
    site: Site

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.site.path, self.site.node.span)


class Foreign:
    """Calls what is not of the project: the first that knows a name says what comes of it."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts
        self._knowing: tuple[Callable[[_Call], Value | None], ...] = (
            self._module,
            self._parameter,
            self._same,
            self._initialised,
            self._inspected,
            self._of_numbers,
            self._handed_on,
            self._in_parallel,
            self._switch,
            self._tensor,
            self._of_torch,
            self._of_package,
            self._of_utilities,
            self._loaded,
        )

    def call(self, reference: Reference, arguments: Arguments, site: Site) -> Value:
        """A function or a class from outside the project."""
        last = reference.name.rpartition(".")[2]
        first = arguments.positional[0].value if arguments.positional else None
        call = _Call(reference.name, last, first, arguments, site)
        if "out" in arguments.keywords:
            unknown = Initial("unknown", {}, 1.0, call.place)
            self._facts.members.initialise(arguments.keywords["out"].value, unknown)
        for knows in self._knowing:
            found = knows(call)
            if found is not None:
                return found
        return self.unknown_call(f"a call of {reference.name}", arguments.values(), site)

    def _module(self, call: _Call) -> Value | None:
        """`nn.Linear(3, 8)`, `Function.apply(x)`, `nn.Linear.forward(layer, x)`."""
        class_ = class_of(call.name)
        made = None
        if class_ is not None:
            made = self._facts.making.module(class_, call.arguments, call.place, call.site)
        if made is not None:
            self._facts.is_new([made], call.arguments)
            return made
        if call.name == APPLY:
            return self._facts.custom.applied(call.arguments, call.site)
        if call.name.endswith((".forward", ".__init__")) and call.arguments.positional:
            owner, _, method = call.name.rpartition(".")
            if class_of(owner) is not None:
                return self._unbound_method(method, call.arguments, call.site)
        return None

    def _parameter(self, call: _Call) -> Value | None:
        if call.name not in _PARAMETERS:
            return None
        making = self._facts.making
        rebuilt = (
            making.rebuilt("Parameter", call.arguments, call.site) if self._facts.recorder.paths else None
        )
        if rebuilt is None:
            rebuilt = making.parameter(call.arguments, call.place)
            self._facts.is_new([rebuilt], call.arguments)
        return rebuilt

    def _same(self, call: _Call) -> Value | None:
        """What gives one of its arguments, as far as gradients are concerned."""
        self._facts.recorder.is_recast = self._facts.recorder.is_recast or call.last == "autocast"
        if call.name in _TYPED and len(call.arguments.positional) > 1:
            return call.arguments.positional[1].value
        if call.name in _SAME or (call.last in _WEIGHT_NORM and "nn.utils" in call.name):
            self._weight_normalised(call)
            return call.first if call.first is not None else Anything()
        return None

    def _weight_normalised(self, call: _Call) -> None:
        first, last = call.first, call.last
        if last == "spectral_norm" and isinstance(first, Layer):
            self._facts.members.rescale(first, None, call.place)
        if last == "orthogonal":
            drawn = Initial("orthogonal", {}, 1.0, call.place)
            self._facts.making.parametrised(first, call.arguments, drawn)
        weight = first.attributes.get("weight") if isinstance(first, Layer) else None
        if last == "weight_norm" and "parametrizations" in call.name and isinstance(weight, Weight):
            self._facts.evaluator.heap.write(weight.attributes, "computed", Known(True))

    def _initialised(self, call: _Call) -> Value | None:
        """`nn.init.normal_(weight)`."""
        if call.name.endswith("init.calculate_gain"):
            return initial.gain(call.arguments)
        scheme = initial.scheme_of(call.last) if _initialises(call.name) else None
        if scheme is None:
            return None
        if isinstance(call.first, Weight) and "computed" in call.first.attributes:
            self._facts.copied.append(Copied(call.last, call.first, call.place))
            return call.first
        drawn = initial.initialised(scheme, call.arguments, call.place)
        return self._facts.members.initialise(call.first, drawn)

    def _inspected(self, call: _Call) -> Value | None:
        if call.name == "inspect.isfunction" and isinstance(call.first, _KINDS):
            return Known(isinstance(call.first, Closure))
        if call.name == "inspect.isclass" and isinstance(call.first, (ClassObject, Closure, Known)):
            return Known(isinstance(call.first, ClassObject))
        return None

    def _of_numbers(self, call: _Call) -> Value | None:
        """Functions of Python and NumPy, and evenly spaced numbers."""
        name, arguments, site = call.name, call.arguments, call.site
        if (
            name in spaced.NAMES
            and self._facts.is_constructing
            and (rates := spaced.made(arguments, site.node))
        ):
            return rates
        made = initial.array(call.last, arguments, call.place) if name.startswith("numpy.random.") else None
        if made is not None:
            return made
        return self._facts.python.call(name, arguments, site) if name.startswith(_OF_PYTHON) else None

    def _handed_on(self, call: _Call) -> Value | None:
        """What calls its first argument with the others."""
        name, first, given = call.name, call.first, call.arguments
        if name.endswith("parametrize.register_parametrization"):
            unknown = Initial("unknown", {}, 1.0, call.place)
            self._facts.making.parametrised(first, given, unknown)
            return first if first is not None else Anything()
        if name.endswith("checkpoint.checkpoint") and first is not None:
            keywords = {key: operand for key, operand in given.keywords.items() if key not in _OF_CHECKPOINT}
            rest = Arguments(given.positional[1:], keywords, given.open, given.certain - 1)
            return self._facts.evaluator.call(first, rest, call.site)
        if name.endswith("checkpoint.checkpoint_sequential") and len(given.positional) > 2 and first:
            return self._facts.evaluator.call(first, Arguments(given.positional[2:]), call.site)
        return None

    def _in_parallel(self, call: _Call) -> Value | None:
        """A model on several devices."""
        positional, first = call.arguments.positional, call.first
        if len(positional) < 2 or first is None:
            return None
        if call.name.endswith("nn.parallel.data_parallel"):
            return self._facts.evaluator.call(first, Arguments(positional[1:2]), call.site)
        if call.name in _DATA_PARALLEL:
            data = positional[1]
            parts = data.value.items if isinstance(data.value, Items) else [data.value]
            operands = tuple([Operand(part, data.node) for part in parts])
            return self._facts.evaluator.call(first, Arguments(operands), call.site)
        return None

    def _switch(self, call: _Call) -> Value | None:
        return _mode(call.name, call.first) if call.name in NO_GRAD | GRAD | _SET_GRAD else None

    def _tensor(self, call: _Call) -> Value | None:
        """What makes tensors that are no results of others."""
        name, last, arguments, site = call.name, call.last, call.arguments, call.site
        if name.endswith("nn.Embedding.from_pretrained"):
            return self._facts.making.embedding(arguments, call.place)
        if is_distribution(name) and not self._facts.is_constructing:
            drawing = distribution(self._facts.recorder, arguments.values(), site)
            if drawing is not None:
                return drawing
        if name.startswith("torch.") and last in _REBUILDING | WRAPPING:
            rebuilt = self._facts.making.rebuilt(last, arguments, site)
            if rebuilt is not None:
                return rebuilt
        if name in _FALSE:
            return Known(False)
        if name == "torch.onnx.operators.shape_as_tensor" and call.first is not None:
            return SizeOf(sizes=self._facts.recorder.sizes(call.first))
        return self._drawn(call) if name.startswith("torch.") else None

    def _drawn(self, call: _Call) -> Value | None:
        drawn = initial.fresh(call.last, call.arguments, call.place)
        if drawn is None or call.last not in LIKE or not isinstance(call.first, Signal):
            return drawn
        signed: dict[str, Setting] = {"is_signed": True} if call.last == "randn_like" else {}
        return self._facts.recorder.emit("constant", (), call.site, {"value": None, **signed})

    def _of_torch(self, call: _Call) -> Value | None:
        """Functions of tensors."""
        name, arguments, site = call.name, call.arguments, call.site
        reduced = self._facts.geometric.function(name, arguments, site)
        if reduced is not None:
            return reduced
        if not name.startswith(("torch.", "einops.", "torch_scatter.", "torch_geometric.utils.")):
            return None
        if call.last.endswith("_") or ".utils." in name:
            self._facts.members.escape(arguments.values())
        return self._facts.applier.function(call.last, arguments, site)

    def _of_package(self, call: _Call) -> Value | None:
        """Functions and classes of libraries that build on torch."""
        name, arguments, site = call.name, call.arguments, call.site
        positional = arguments.positional
        if name.startswith(PACKAGE):
            return from_transformers(self._facts, name, arguments, site)
        if name.startswith(MMCV):
            return from_mmcv(self._facts, name, arguments, site)
        if name.startswith("apex.normalization.") and call.first is not None:
            recorder = self._facts.recorder
            return recorder.emit("layer_norm", [recorder.signal(call.first, site)], site)
        if name.startswith("timm.") and call.last == "drop_path":
            return self._facts.applier.function(call.last, Arguments(positional[:1]), site)
        if name in _FUSED_ATTENTION and len(positional) >= 3:
            attended = Arguments(positional[:3])
            return self._facts.applier.function("scaled_dot_product_attention", attended, site)
        return None

    def _of_utilities(self, call: _Call) -> Value | None:
        """Functions that name their axes."""
        name, last, arguments, site = call.name, call.last, call.arguments, call.site
        if name.startswith("einx.") and last in _EINX and len(arguments.positional) > 2:
            return self._facts.applier.operator(_EINX[last], arguments.positional[1:3], site)
        if name == "torch_einops_utils.pack_with_inverse" and isinstance(call.first, Signal):
            packed = self._facts.recorder.emit("reshape", (call.first,), site)
            return Items("tuple", [packed, Reference("einops.unpack_one")], site.node)
        if name.startswith("torch_einops_utils.") and last in _OF_UTILITIES:
            return self._facts.applier.function(_OF_UTILITIES[last], arguments, site)
        return None

    def _loaded(self, call: _Call) -> Value | None:
        """Models of libraries, and records."""
        chain = None if self._facts.is_training else torchvision_model(call.name, call.arguments, call.site)
        known = pretrained(call.name) if chain is None else chain
        if known is None and is_class_name(call.last) and not call.name.startswith(("torch", "timm")):
            return record(call.arguments, call.site)
        return known

    def _unbound_method(self, method: str, arguments: Arguments, site: Site) -> Value:
        """`nn.Conv2d.__init__(self, 3, 8, 3)`, `nn.Conv2d.forward(self, x)`."""
        (module, *given) = arguments.positional
        rest = Arguments(tuple(given), arguments.keywords, arguments.open, max(arguments.certain - 1, 0))
        if method == "__init__":
            return self._facts.inherited(module.value, method, rest, site)
        if not isinstance(module.value, (Layer, Container, Instance)):
            return self.unknown_call("a module that is not known", arguments.values(), site)
        return self._facts.applier.module(module.value, rest, site)

    def unknown_call(self, reason: str, values: Sequence[Value], site: Site) -> Value:
        """What comes of a call of which nothing is known."""
        is_result = not self._facts.is_constructing and any(
            next(signals(value), None) is not None for value in values
        )
        if is_result and self._facts.custom.is_kernel(site):
            return self._facts.custom.computed(values, site)
        if is_result:
            return self._facts.recorder.unknown(reason, values, site)
        self._facts.recorder.hand_out(values)
        self._facts.members.escape(values)
        return Anything(reason)


def _mode(name: str, given: Value | None) -> Value:
    """The context in which gradients are recorded or not."""
    if name in _SET_GRAD:
        if not isinstance(given, Known):
            return Anything()
        return Reference("torch.enable_grad" if given.value else "torch.no_grad")
    is_plain = given is None or (isinstance(given, Known) and given.value is True) or is_callable(given)
    return Reference(name) if is_plain else Anything()


def _initialises(name: str) -> bool:
    return ".init." in name or name.startswith(("timm.", "fvcore.", "detectron2.", "mmcv.", "mmengine."))
