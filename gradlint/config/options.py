"""The keys of a configuration: what each may hold, and what it means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

from msgspec import Struct

from gradlint.config.error import did_you_mean
from gradlint.config.settings import TargetSettings
from gradlint.records.finding import Severity
from gradlint.source.globs import anchored, translate

EXTEND = "extend"
OFF = "off"
DTYPES = ("float32", "float64", "float16", "bfloat16")
LEVELS = tuple(level.value for level in Severity)
OUTPUT_FORMATS = (
    "concise",
    "full",
    "grouped",
    "json",
    "json-lines",
    "github",
    "gitlab",
    "sarif",
    "junit",
    "rdjson",
)

KIND_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number with a fraction",
    list: "a list",
    dict: "a table",
}

Schema = Mapping[str, Any]
"""A JSON schema."""

SELECTORS: Schema = {"type": "array", "items": {"$ref": "#/definitions/selector"}}


class Kind(Struct, frozen=True):
    """What a key may hold.

    `convert` turns the value from a file in `folder` into the setting's; it raises `TypeError` for
    a value of another type, and `ValueError`, with the reason, for one that makes no sense.
    """

    expected: str
    schema: Schema
    convert: Callable[[Any, str], Any]


class Option(Struct, frozen=True):
    """One key of a configuration file."""

    key: str
    kind: Kind
    description: str

    @property
    def field(self) -> str:
        """The name of the attribute of `Settings`."""
        return self.key.replace("-", "_")


def kind_of(value: object) -> str:
    """What a value is, in the words of messages."""
    if isinstance(value, list):
        odd = next((item for item in value if not isinstance(item, str)), None)
        return "a list" if odd is None else f"a list with {kind_of(odd)} in it"
    return KIND_NAMES.get(type(value), type(value).__name__)


def _instance_of(expected: type) -> Callable[[Any, str], Any]:
    def convert(value: Any, folder: str) -> Any:
        if type(value) is not expected:
            raise TypeError
        return value

    return convert


def _texts(value: Any, folder: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return tuple(value)


def _count(value: Any, folder: str) -> int:
    if type(value) is not int:
        raise TypeError
    if value < 0:
        raise ValueError(f"{value} is below 0")
    return value


def _amount(value: Any, folder: str) -> float:
    if type(value) not in (int, float):
        raise TypeError
    if not 0 < value < inf:
        raise ValueError(f"{value} is not above 0")
    return float(value)


def _share(value: Any, folder: str) -> float:
    share = _amount(value, folder)
    if share > 1:
        raise ValueError(f"{value} is above 1")
    return share


def _path(value: Any, folder: str) -> str:
    if not isinstance(value, str):
        raise TypeError
    if not value:
        raise ValueError("the path is empty")
    return os.path.normpath(os.path.join(folder, os.path.expanduser(value)))


def _patterns(value: Any, folder: str) -> tuple[str, ...]:
    return tuple(_pattern(pattern, folder) for pattern in _texts(value, folder))


def _pattern(pattern: str, folder: str) -> str:
    try:
        translate(pattern)
    except ValueError as error:
        raise ValueError(f"`{pattern}` is not a pattern: {error}") from None
    return anchored(pattern, folder)


def _one_of(choices: tuple[str, ...], value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if value not in choices:
        hint = did_you_mean(value, choices) or f"; it may be {_listed(choices)}"
        raise ValueError(f"unknown value `{value}`{hint}")
    return value


def _listed(words: tuple[str, ...]) -> str:
    quoted = [f"`{word}`" for word in words]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _chosen(choices: tuple[str, ...], value: Any, folder: str) -> str:
    return _one_of(choices, value)


def _matching(pattern: str, value: Any, folder: str) -> str:
    if not isinstance(value, str):
        raise TypeError
    if not re.fullmatch(pattern, value):
        raise ValueError(f"unknown device `{value}`; it may be cpu, cuda, mps or auto")
    return value


def _command(value: Any, folder: str) -> str:
    """A program by its name, or by its path where it has more than a name."""
    if not isinstance(value, str):
        raise TypeError
    return _path(value, folder) if os.path.basename(value) != value else value


def _level(value: Any, folder: str) -> Severity:
    return Severity(_one_of(LEVELS, value))


def _format(value: Any, folder: str) -> str:
    return _one_of(OUTPUT_FORMATS, value)


def _levels(value: Any, folder: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise TypeError
    return tuple((rule, _rated(rule, level)) for rule, level in value.items())


def _rated(rule: str, level: Any) -> str:
    try:
        return _one_of((*LEVELS, OFF), level)
    except TypeError:
        raise ValueError(f"`{rule}` must be a string, not {kind_of(level)}") from None


def _ignores(value: Any, folder: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise TypeError
    return tuple((_negatable(key, folder), _ignored(key, item)) for key, item in value.items())


def _ignored(pattern: str, rules: Any) -> tuple[str, ...]:
    try:
        return _texts(rules, "")
    except TypeError:
        raise ValueError(f"`{pattern}` must be a list of strings, not {kind_of(rules)}") from None


def _negatable(pattern: str, folder: str) -> str:
    """A pattern before which `!` means every file that does not match."""
    body = pattern.removeprefix("!")
    return pattern[: len(pattern) - len(body)] + _pattern(body, folder)


def _version(value: Any, folder: str) -> tuple[int, int]:
    if not isinstance(value, str):
        raise TypeError
    found = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)*", value)
    if not found:
        raise ValueError(f"`{value}` is not a version such as `2.4`")
    return int(found[1]), int(found[2])


def _targets(value: Any, folder: str) -> tuple[TargetSettings, ...]:
    if not isinstance(value, dict):
        raise TypeError
    return tuple(_target(name, table) for name, table in value.items())


def _target(name: str, table: Any) -> TargetSettings:
    module, colon, definition = name.partition(":")
    if not (module and colon and definition):
        raise ValueError(f"`{name}` is not of the form `package.module:Name`")
    if not isinstance(table, dict):
        raise ValueError(f"`{name}` must be a table, not {kind_of(table)}")
    odd = next((key for key in table if key not in ("arguments", "inputs")), None)
    if odd is not None:
        raise ValueError(f"unknown key `{odd}` in `{name}`{did_you_mean(odd, ('arguments', 'inputs'))}")
    arguments = [(key, _expression(item)) for key, item in _entries(name, table, "arguments")]
    inputs = [(key, *as_input(item)) for key, item in _entries(name, table, "inputs")]
    check_inputs([key for key, *_ in inputs])
    return TargetSettings(name, tuple(arguments), tuple(inputs))


def _entries(name: str, table: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    entries = table.get(key, {})
    if not isinstance(entries, dict):
        raise ValueError(f"`{key}` of `{name}` must be a table, not {kind_of(entries)}")
    return list(entries.items())


def _expression(value: Any) -> str:
    """A value of a configuration as Python writes it; text stands for an expression where it is one."""
    if not isinstance(value, str):
        return repr(value)
    try:
        compile(value, "<argument>", "eval")
    except SyntaxError:
        return repr(value)
    return value


_INPUT = re.compile(
    r"\s*(float(?:16|32|64)|bfloat16|(?:int(?:8|16|32|64)|uint8)(?:<\d+)?|bool)\s*\[([\d,\s]*)\]\s*"
)


def as_input(value: Any) -> tuple[str, tuple[int, ...]]:
    """An input as it is written, `float32[8,3,32,32]`: the dtype and the shape. Raises `ValueError`."""
    found = _INPUT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"`{value}` is no input such as `float32[8,3,32,32]` or `int64<1000[8,128]`")
    shape = tuple(int(size) for size in found[2].split(",") if size.strip())
    if 0 in shape:
        raise ValueError(f"`{value}` holds nothing: every size is 1 or more")
    return found[1], shape


def check_inputs(names: Sequence[str]) -> None:
    """Raise `ValueError` for names of inputs and of their fields (`batch.image`) that do not go together."""
    for name in names:
        head, _, field = name.partition(".")
        if "." in field:
            raise ValueError(f"`{name}`: only a field of an input can be given, no field of a field")
        if not (head.isidentifier() and (field or head).isidentifier()) or name.endswith("."):
            raise ValueError(f"`{name}` is no name of an input or of its field, such as `x` or `batch.image`")
        if names.count(name) > 1:
            raise ValueError(f"`{name}` is given more than once")
        if field and head in names:
            raise ValueError(f"`{head}` and `{name}`: what has fields is made of them alone")


STRINGS: Schema = {"type": "array", "items": {"type": "string"}}

FLAG = Kind("true or false", {"type": "boolean"}, _instance_of(bool))
COUNT = Kind("a number from 0 on", {"type": "integer", "minimum": 0}, _count)
DECADES = Kind("a number above 0", {"type": "number", "exclusiveMinimum": 0}, _amount)
SHARE = Kind("a number from 0 to 1", {"type": "number", "exclusiveMinimum": 0, "maximum": 1}, _share)
PATH = Kind("a string", {"type": "string"}, _path)
PATTERNS = Kind("a list of strings", STRINGS, _patterns)
RULES = Kind("a list of strings", SELECTORS, _texts)
LEVEL = Kind("a string", {"enum": list(LEVELS)}, _level)
FORMAT = Kind("a string", {"enum": list(OUTPUT_FORMATS)}, _format)
VERSION = Kind("a string", {"type": "string", "pattern": r"^\d+\.\d+(\.\d+)*$"}, _version)
IGNORES = Kind(
    "a table from patterns to lists of strings",
    {"type": "object", "additionalProperties": SELECTORS},
    _ignores,
)
SEVERITIES = Kind(
    "a table from rules to severities",
    {
        "type": "object",
        "propertyNames": {"$ref": "#/definitions/selector"},
        "additionalProperties": {"enum": [*LEVELS, OFF]},
    },
    _levels,
)

TARGET: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "arguments": {"type": "object"},
        "inputs": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
TARGETS = Kind("a table from targets to tables", {"type": "object", "additionalProperties": TARGET}, _targets)
DEVICE = Kind("a string", {"type": "string"}, partial(_matching, r"cpu|cuda(:\d+)?|mps|auto"))
DTYPE = Kind("a string", {"enum": list(DTYPES)}, partial(_chosen, DTYPES))
COMMAND = Kind("a string", {"type": "string"}, _command)

OPTIONS = (
    Option("select", RULES, "Rules to use, by code, prefix or name; ALL stands for every rule."),
    Option("extend-select", RULES, "Rules to use in addition."),
    Option("ignore", RULES, "Rules not to use."),
    Option("per-file-ignores", IGNORES, "Rules not to use in the files that match a pattern."),
    Option("severity", SEVERITIES, "How bad the findings of a rule are; off disables it."),
    Option("fail-on", LEVEL, "The least severity that makes a run fail."),
    Option("preview", FLAG, "Use the rules that are still being tried out."),
    Option("exclude", PATTERNS, "Files and folders not to check, in place of the default list."),
    Option("extend-exclude", PATTERNS, "More files and folders not to check."),
    Option("force-exclude", FLAG, "Exclude also files that are named on the command line."),
    Option("respect-gitignore", FLAG, "Do not check what git ignores."),
    Option("target-torch", VERSION, "The oldest PyTorch that the code runs on, such as 2.4."),
    Option("vanishing-decades", DECADES, "From how many decades on a gradient counts as vanishing."),
    Option("exploding-decades", DECADES, "From how many decades on a gradient counts as exploding."),
    Option("activation-decades", DECADES, "From how many decades on activations count as growing or lost."),
    Option("initialisation-decades", DECADES, "How many decades an initialisation may cost."),
    Option("recurrence-decades", DECADES, "How many decades a gradient may change over the time steps."),
    Option("saturated-share", SHARE, "From which share on units count as saturated."),
    Option("dead-share", SHARE, "From which share on dead units are reported."),
    Option("baseline", PATH, "A file of known findings that are not reported again."),
    Option("output-format", FORMAT, "The form of the report."),
    Option("fix", FLAG, "Apply the safe fixes."),
    Option("unsafe-fixes", FLAG, "Apply also fixes that may change what the code does."),
    Option("jobs", COUNT, "How many processes to use; 0 for as many as there are processors."),
    Option("cache", FLAG, "Remember what was found in files that do not change."),
    Option("cache-dir", PATH, "The folder for what is remembered."),
    Option("verify", FLAG, "Measure what findings claim; this runs the code that is checked."),
    Option("verify-python", COMMAND, "The Python to verify with; it needs torch 2.1 or later."),
    Option("verify-device", DEVICE, "Where to verify: cpu, cuda, mps or auto."),
    Option("verify-dtype", DTYPE, "The precision to verify in."),
    Option("verify-timeout", DECADES, "How many seconds verifying one target may take."),
    Option("verify-memory", COUNT, "How many megabytes verifying one target may take; 0 for any number."),
    Option("verify-targets", TARGETS, "Constructor arguments and inputs of targets."),
)
BY_KEY: Mapping[str, Option] = {option.key: option for option in OPTIONS}
