"""What initialisers leave in a weight: `torch.nn.init`, methods that write in place, fresh tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradlint.graph.values import Anything, Drawn, Shape, number, setting
from gradlint.records.graph import Initial, Place, Setting
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Items, Known, Value

_SCHEMES: dict[str, tuple[str, ...]] = {
    "uniform": ("a", "b"),
    "normal": ("mean", "std"),
    "trunc_normal": ("mean", "std", "a", "b"),
    "constant": ("val",),
    "ones": (),
    "zeros": (),
    "eye": (),
    "dirac": ("groups",),
    "xavier_uniform": ("gain",),
    "xavier_normal": ("gain",),
    "kaiming_uniform": ("a", "mode", "nonlinearity"),
    "kaiming_normal": ("a", "mode", "nonlinearity"),
    "orthogonal": ("gain",),
    "sparse": ("sparsity", "std"),
}
_OLD = {
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "uniform",
    "normal",
}

_IN_PLACE: dict[str, tuple[str, tuple[str, ...]]] = {
    "normal_": ("normal", ("mean", "std")),
    "uniform_": ("uniform", ("from", "to")),
    "zero_": ("zeros", ()),
    "fill_": ("constant", ("val",)),
    "trunc_normal_": ("trunc_normal", ("mean", "std", "a", "b")),
}
_SCALING = {"mul_": 1, "div_": -1}

_MOVED: dict[str, tuple[tuple[str, float, bool], ...]] = {
    "uniform": (("a", 0.0, True), ("b", 1.0, True)),
    "normal": (("mean", 0.0, True), ("std", 1.0, False)),
}
"""Settings of what is drawn, with their defaults, and whether they move along with a summand."""

_FRESH = {
    "zeros": "zeros",
    "ones": "ones",
    "empty": "empty",
    "randn": "normal",
    "rand": "uniform",
    "Tensor": "empty",
    "FloatTensor": "empty",
    "eye": "eye",
}

GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}
"""`torch.nn.init.calculate_gain`."""

_MADE = "layer"
"""The setting of what a layer's own constructor drew: the layer's op."""

_OWN = {"embedding": Initial("normal"), "linear": Initial("kaiming_uniform", {"a": math.sqrt(5.0)})}
_OWN |= {f"conv{kind}{n}d": _OWN["linear"] for kind in ("", "_transpose") for n in (1, 2, 3)}
_NORMS = ("layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm")
_OWN |= dict.fromkeys(_NORMS, Initial("ones"))
"""What `reset_parameters` of a layer does to its weight, in the words of torch.nn.init."""


def as_made(op: str, name: str, place: Place) -> Initial:
    """What the constructor of a layer that does `op` leaves in its parameter `name`."""
    return Initial("default", {_MADE: op} if name == "weight" else {}, 1.0, place)


def used_by(op: str, initial: Initial) -> Initial:
    """A default as it is for `op`: that of another layer, which shares its weight, by its own name."""
    if initial.scheme != "default":
        return initial
    maker = str(initial.settings.get(_MADE, op))
    if op in ("", maker) or maker not in _OWN:
        return Initial("default", {}, initial.factor, initial.place)
    return Initial(_OWN[maker].scheme, _OWN[maker].settings, initial.factor)


def scheme_of(name: str) -> str | None:
    """The scheme of an initialiser of torch.nn.init or of timm by the name of the function, or None."""
    plain = name.rstrip("_")
    if plain == "trunc_normal_tf":
        plain = "trunc_normal"
    if plain not in _SCHEMES or (not name.endswith("_") and plain not in _OLD):
        return None
    return plain


def initialised(scheme: str, arguments: Arguments, place: Place) -> Initial:
    """What `torch.nn.init.<scheme>_(weight, …)` leaves in the weight."""
    return Initial(scheme, _settings(_SCHEMES[scheme], arguments, 1), 1.0, place)


def written(method: str, arguments: Arguments, place: Place) -> Initial | None:
    """What a method in place leaves in a tensor (`normal_`, `fill_`), or None if it is none of them."""
    if method not in _IN_PLACE:
        return None
    scheme, names = _IN_PLACE[method]
    settings = _settings(names, arguments, 0)
    for old, new in (("from", "a"), ("to", "b")):
        if old in settings:
            settings[new] = settings.pop(old)
    return Initial(scheme, settings, 1.0, place)


def scaled(drawn: Drawn, by: float | None, place: Place) -> Drawn:
    """A tensor times a constant."""
    if by is None:
        return Drawn(Initial("unknown", {}, 1.0, place), drawn.shape)
    initial = drawn.initial
    return Drawn(Initial(initial.scheme, initial.settings, initial.factor * by, initial.place), drawn.shape)


def shifted(drawn: Drawn, by: float, place: Place) -> Drawn:
    """A tensor plus a constant: the mean or both ends of what it was drawn from move."""
    initial, factor = drawn.initial, drawn.initial.factor
    moved = _MOVED.get(initial.scheme)
    if moved is None:
        return Drawn(Initial("unknown", {}, 1.0, place), drawn.shape)
    settings = dict(initial.settings)
    for name, default, moves in moved:
        value = settings.get(name, default)
        settings[name] = value * factor + by * moves if isinstance(value, (int, float)) else None
    return Drawn(Initial(initial.scheme, settings, 1.0, initial.place), drawn.shape)


def scaling(method: str, arguments: Arguments) -> float | None:
    """The factor by which `mul_` or `div_` multiplies, or None."""
    if method not in _SCALING or not arguments.positional:
        return None
    by = number(arguments.positional[0].value)
    return None if not by else float(by) ** _SCALING[method]


def fresh(name: str, arguments: Arguments, place: Place) -> Drawn | None:
    """A tensor that `torch.randn` and its like make, or None."""
    first = arguments.positional[0].value if arguments.positional else None
    if name in ("from_numpy", "as_tensor", "Tensor", "FloatTensor") and isinstance(first, Drawn):
        return first
    if name in ("full", "tensor", "normal"):
        return _special(name, arguments, place)
    if name.endswith("_like") and name[:-5] in (*_FRESH, "full"):
        like = arguments.positional[0].value if arguments.positional else None
        shape = like.shape if isinstance(like, Drawn) else None
        if name == "full_like":
            return Drawn(Initial("constant", _settings(("val",), arguments, 1), 1.0, place), shape)
        return Drawn(Initial(_FRESH[name[:-5]], {}, 1.0, place), shape)
    if name not in _FRESH:
        return None
    values = [operand.value for operand in arguments.positional]
    if name in ("Tensor", "FloatTensor") and not _are_sizes(values):
        return Drawn(Initial("unknown", {}, 1.0, place))
    if not values and "size" in arguments.keywords:
        values = [arguments.keywords["size"].value]
    return Drawn(Initial(_FRESH[name], {}, 1.0, place), None if arguments.open else shape_of(values))


def _are_sizes(values: Sequence[Value]) -> bool:
    """Whether the legacy constructor of tensors is given sizes rather than contents."""
    return len(values) > 1 or (len(values) == 1 and _size(values[0]) is not None)


_ARRAYS: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "rand": ("uniform", (), {}),
    "random": ("uniform", ("size",), {}),
    "random_sample": ("uniform", ("size",), {}),
    "uniform": ("uniform", ("low", "high", "size"), {"low": "a", "high": "b"}),
    "randn": ("normal", (), {}),
    "standard_normal": ("normal", ("size",), {}),
    "normal": ("normal", ("loc", "scale", "size"), {"loc": "mean", "scale": "std"}),
}
"""Functions of `numpy.random`: what they draw from, their parameters, and how torch calls these."""


def array(name: str, arguments: Arguments, place: Place) -> Drawn | None:
    """An array that `numpy.random.<name>` draws, or None: a single number is none."""
    if name not in _ARRAYS or arguments.open:
        return None
    scheme, names, settings = _ARRAYS[name]
    size = arguments.get(names.index("size"), "size") if names else None
    sizes = [size.value] if size is not None else [] if names else arguments.values()
    if not sizes:
        return None
    given = _settings(names, arguments, 0)
    known = {settings[key]: value for key, value in given.items() if key in settings}
    return Drawn(Initial(scheme, known, 1.0, place), shape_of(sizes))


def _special(name: str, arguments: Arguments, place: Place) -> Drawn:
    if name == "full":
        shape = shape_of([o.value for o in arguments.positional[:1]])
        value = arguments.get(1, "fill_value")
        return Drawn(Initial("constant", {"val": setting(value.value) if value else None}, 1.0, place), shape)
    if name == "normal":
        size = arguments.get(2, "size")
        shape = None if size is None else shape_of([size.value])
        return Drawn(Initial("normal", _settings(("mean", "std"), arguments, 0), 1.0, place), shape)
    value = arguments.get(0, "data")
    if value is not None and isinstance(value.value, Drawn):
        return value.value
    constant = number(value.value) if value is not None else None
    if constant is not None:
        return Drawn(Initial("constant", {"val": constant}, 1.0, place), ())
    return Drawn(Initial("unknown", {}, 1.0, place))


def shape_of(values: Sequence[Value]) -> Shape:
    """The shape that sizes give, one by one or as one tuple."""
    if len(values) == 1 and isinstance(values[0], Items):
        if values[0].open:
            return None
        values = values[0].items
    elif len(values) == 1 and not isinstance(values[0], (Known, Anything)):
        return None
    return tuple([_size(value) for value in values])


def _size(value: Value) -> int | None:
    return value.value if isinstance(value, Known) and isinstance(value.value, int) else None


def _settings(names: Sequence[str], arguments: Arguments, skip: int) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for position, name in enumerate(names, skip):
        given = arguments.get(position, name)
        if given is not None:
            settings[name] = setting(given.value)
    return settings


def gain(arguments: Arguments) -> Value:
    """`calculate_gain(nonlinearity, param)`."""
    given = arguments.get(0, "nonlinearity")
    name = given.value.value if given is not None and isinstance(given.value, Known) else None
    if name == "leaky_relu":
        slope = arguments.get(1, "param")
        a = 0.01 if slope is None else number(slope.value)
        return Anything() if a is None else Known(math.sqrt(2.0 / (1 + a * a)))
    return Known(GAINS[name]) if isinstance(name, str) and name in GAINS else Anything()
