"""What an argument may be when nothing says so: by its annotation, then by its name."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import enum
import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .absent import Absent
from .stand_in import Settings

SIZES = (16, 4, 64)
"""The sizes that are tried for what has no better one; equal ones fit together."""

_CONFIGURATION = re.compile(
    r"(.*_)?(cfgs?|configs?|conf|configuration|args?|opts?|options?|hparams?|hps?|params?|settings|flags)$"
)
_NAMED: tuple[tuple[str, Any], ...] = (
    (r"(n_?|num_?|max_)?(class(es)?|labels?|cls)|n_?cls|num_class(es)?|(n|num)_out(puts)?", 10),
    (
        r"(n_?|num_?)?(tokens?|vocab|words|embeddings|chars|symbols)|.*vocab(ulary)?(_size|_len)?|ntokens?",
        100,
    ),
    (
        r"(n|num|max|nb|number)_?(of_)?(seq|src|tgt|pos|sent).*|(.*_)?(seq|max|context|block|source|target)_?(len|length|size)",
        64,
    ),
    (r"(.*_)?(img|image|im|crop)_?(size|dim|h|w|height|width)?|(.*_)?resolution|imsize|height|width|h|w", 32),
    (r"(.*_)?patch(_?size)?", 4),
    (
        r"(.*_)?(layers?|blocks?|depths?|stages?|repeats?|iters?|iterations?|levels?|scales?|steps?|hops?|stacks?|units|convs?)(_num)?",
        2,
    ),
    (r"(.*_)?(k|ks|kernel|ksize|filter|window)_?(sizes?)?|ker(nel)?_size", 3),
    (r"(.*_)?(stride|dilation|dilate|dilated|rate_|groups?|dirs?|directions)(_size)?", 1),
    (r"(.*_)?(pad|padding)(_size)?", 1),
    (r"(.*_)?(reduction|ratio|squeeze|r|radix)(_ratio)?", 4),
    (
        r"(.*_)?(expansion|expand|mult|multiplier|factor|upscale|scale_factor|up_?factor|growth)(_ratio|_factor)?",
        2,
    ),
    (r"(.*_)?n?_?heads?|(num|n)_head(s)?|cardinality|nhead", 4),
    (
        r"(.*_)?(dropout|drop|dropout_?(rate|prob|p)?|p|keep_?prob|prob|drop_?(rate|prob|path|out).*|dropout_.*)",
        0.1,
    ),
    (r"(.*_)?(eps|epsilon)", 1e-5),
    (r"(.*_)?momentum", 0.1),
    (
        r"(.*_)?(alpha|beta|gamma|lam|lambd|lambda_?|temperature|temp|tau|margin|sigma|std|slope|negative_slope|coeff?|lr|weight_decay|scale|delta|smoothing|threshold)(_?\d)?",
        1.0,
    ),
    (
        r"(.*_)?pretrained.*|.*(freeze|frozen).*|(.*_)?debug|(.*_)?verbose|(.*_)?causal|use_gpu|cuda|(.*_)?checkpoint(ing)?",
        False,
    ),
    (
        r"(use|is|has|with|if|do|need|return|enable|add)_.*|.*_(flag|on)|bidirectional|bias|affine|batch_?norm|bn|residual|batch_first|learn.*able|inplace",
        True,
    ),
    (r"(n|num|nb|number)_(of_)?(?!feat|chan|filt|hid|in|out|dim|unit|emb|node|neuron|plane).*", 2),
    (r"device", "cpu"),
    (r"dtype", torch.float32),
    (r"logger|log|writer|path|.*_path|.*_dir|.*_file|filename|root|callback|init_cfg", None),
)
_TABLE = tuple((re.compile(f"(?:{pattern})\\Z", re.IGNORECASE), value) for pattern, value in _NAMED)
_ACTIVATION = re.compile(
    r"(.*_)?(act|activation|nonlinearity|non_linearity|act_(layer|fn|func|type)|nonlin|actv|relu)(_.*)?\Z"
)
_NORM = re.compile(r"(.*_)?(norm|norm_?layer|norm_?fn|norm_?type|normalization)\Z")
_MODULE = re.compile(
    r"(.*_)?(model|backbone|encoder|decoder|net|network|module|layer|block|embedder|embedding|submodule|fn|func|"
    r"function|generator|discriminator|classifier|head|neck|base|core|attention|attn|sublayer|feed_forward|"
    r"feature_extractor|criterion|loss|conv|downsample|self_attn|src_embed|tgt_embed|student|teacher|cell)\Z"
)
_WIDTH = re.compile(r"(d|dims?|size|width)_")
"""The beginning of names that say of what something is the width, such as `dim_model`."""
_CLASS = re.compile(
    r"(.*_)?(block|layer|conv|cls|class|type|cell|norm_layer|conv_layer|act_layer)(_type|_cls)?\Z"
)


def guess(name: str, annotation: Any = None, size: int = SIZES[0], path: str = "") -> Any:
    """A value for what is called `name`; sizes are `size`."""
    found = by_annotation(name, annotation, size, path)
    return by_name(name, size, path) if found is _NOTHING else found


def by_description(words: str, size: int) -> Any:
    """A value for what a sentence describes, as "kernel size in the blocks"; None where it tells nothing."""
    names = re.findall(r"\w+", words.lower().partition(",")[0])[:_WORDS]
    begun = ["_".join(names[:count]) for count in range(len(names), 1, -1)]
    if any(_WIDTHS.match(name) for name in begun):
        return size
    return next((by_name(name, size) for name in begun for known, _ in _TABLE if known.match(name)), None)


_WORDS = 4
"""So many words of a description are looked at."""
_WIDTHS = re.compile(r"(number|num)_of_(\w+_)?(channels|features|filters|units|neurons|inputs|outputs)\Z")
_NOTHING = object()


def by_name(name: str, size: int, path: str = "") -> Any:
    """A value for a name."""
    plain = name.strip("_")
    if _CONFIGURATION.match(plain):
        return Settings(path or name, size)
    if _ACTIVATION.match(plain):
        return nn.ReLU()
    if _NORM.match(plain):
        return nn.BatchNorm2d
    for pattern, value in _TABLE:
        if pattern.match(plain):
            return value
    if _WIDTH.match(plain):
        return size
    from .parts import named

    made = None if _CLASS.match(plain) else named(plain, size)
    if made is not None:
        return made
    return nn.Identity() if _MODULE.match(plain) else size


def by_annotation(name: str, annotation: Any, size: int, path: str) -> Any:
    """A value for an annotation; `_NOTHING` where it does not decide."""
    if annotation in (None, inspect.Parameter.empty, Any) or isinstance(annotation, (str, Absent)):
        return _by_text(annotation, name, size, path) if isinstance(annotation, str) else _NOTHING
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or type(annotation).__name__ == "UnionType":
        return by_annotation(name, inner[0], size, path) if inner else _NOTHING
    if origin in (list, tuple) or annotation in (list, tuple):
        return _several(name, origin or annotation, inner, size, path)
    if origin in (dict,) or annotation is dict:
        return Settings(path or name, size)
    if origin is type or annotation is type:
        return nn.Linear
    return _of_type(name, annotation, size, path) if isinstance(annotation, type) else _NOTHING


def _of_type(name: str, kind: type, size: int, path: str) -> Any:
    if kind in (int, float, bool):
        value = by_name(name, size, path)
        plain = kind(value) if isinstance(value, (int, float)) else kind(size if kind is int else 1)
        return plain if kind is not bool else bool(value) if isinstance(value, bool) else False
    if kind is str:
        return ""
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, size, path or name)
    if issubclass(kind, nn.Module):
        from .parts import named, part

        return part(kind, size) or named(name.strip("_"), size) or nn.Identity()
    if issubclass(kind, torch.Tensor):
        return torch.randn(size, size)
    if kind.__module__ == "builtins":
        return _NOTHING
    return _configuration(kind, size) or Settings(path or name, size)


_LARGE, _HUGE = 64, 4096
_DEPTH = re.compile(r"(.*_)?(layers?|depths?|blocks?|stages?)\Z")


def is_configuration(value: Any) -> bool:
    """Whether an object is one of settings that all have defaults: of a class of the user's, no module."""
    kind = type(value)
    return kind in _configurations and not isinstance(value, (Settings, nn.Module))


_configurations: set[type] = set()


def _configuration(kind: type, size: int) -> Any:
    """An object of a class whose settings all have defaults, large sizes made small; None of others."""
    try:
        made = kind()
        settings = dict(vars(made))
    except Exception:
        return None
    if not settings:
        return None
    _configurations.add(kind)
    _shrink(made, settings, size)
    return made


def _shrink(made: Any, settings: dict[str, Any], size: int) -> None:
    """Where a size is huge, give large ones the values that their names suggest, and heads a divisor."""
    whole = [value for value in settings.values() if isinstance(value, int)]
    if max(whole, default=0) <= _HUGE:
        return
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or _DEPTH.match(name):
            continue
        guessed = by_name(name, size)
        small = guessed if isinstance(guessed, int) else size
        is_head = _HEADS.fullmatch(name) is not None
        if small < value and (value > _LARGE or is_head):
            with contextlib.suppress(Exception):
                setattr(made, name, small)


def refitted(value: Any, size: int) -> Iterator[Any]:
    """Of settings that were made small, others in which parts of a head are small in proportion too.

    A part of a head, such as the share of it that is rotated, is a number between what a head has now
    and what it had by default.
    """
    if not is_configuration(value):
        return
    try:
        whole = vars(type(value)())
    except Exception:
        return
    small = {name: each for name, each in vars(value).items() if type(each) is int}
    heads = next((name for name in small if _HEADS.fullmatch(name)), None)
    widths = [name for name, each in small.items() if each == size and type(whole.get(name)) is int]
    if heads is None or not widths:
        return
    before = max(whole[name] for name in widths) // whole[heads]
    for width in (size, 4 * size):
        after = width // small[heads]
        made = copy.deepcopy(value)
        for name, each in small.items():
            if name in widths:
                setattr(made, name, width)
            elif after < each <= before and each == whole.get(name):
                setattr(made, name, max(2, each * after // before // 2 * 2))
        yield made


_HEADS = re.compile(r"(.*_)?n?_?heads?")


def _dataclass(kind: type, size: int, path: str) -> Any:
    """An object of a dataclass: its defaults, and guesses for the rest."""
    given = {
        field.name: guess(field.name, field.type, size, f"{path}.{field.name}")
        for field in dataclasses.fields(kind)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    }
    made = kind(**given)
    _configurations.add(kind)
    _shrink(made, {n: v for n, v in getattr(made, "__dict__", {}).items() if n not in given}, size)
    return made


def _several(name: str, kind: Any, inner: tuple[Any, ...], size: int, path: str) -> Any:
    element = inner[0] if inner else None
    count = (
        len([each for each in inner if each is not Ellipsis])
        if kind is tuple and Ellipsis not in inner
        else 4
    )
    count = count or 4
    singular = name[:-1] if name.endswith("s") else name
    values = [guess(singular, element, size, path) for _ in range(count)]
    return tuple(values) if kind is tuple else values


def _by_text(text: str, name: str, size: int, path: str) -> Any:
    """A value for an annotation that is not evaluated."""
    plain = text.split("[")[0].rpartition(".")[2].strip()
    known: dict[str, Any] = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "List": list}
    known.update(Tuple=tuple, tuple=tuple, Tensor=torch.Tensor, Module=nn.Module, dict=dict, Dict=dict)
    return by_annotation(name, known[plain], size, path) if plain in known else _NOTHING
