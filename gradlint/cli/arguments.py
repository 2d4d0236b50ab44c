"""The options of the commands that check files, declared once.

Two readers use the declaration: `read_quickly`, which knows only what is unmistakable, and typer,
which knows everything else: help, completion, and what to say about mistakes. Importing typer takes
longer than checking a small project, so it is asked only when the quick reader gives up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

PATHS = "paths"


class Shape(Enum):
    """How an option takes its value."""

    SWITCH = "nothing follows"
    ONE = "one value follows"
    MANY = "a value follows, and the option may be repeated"
    NUMBER = "a number follows"
    DECIMAL = "a number that may have a fraction follows"


class Argument(Struct, frozen=True):
    """An option: its names, where `--no-…` turns a switch off, and its group in the help.

    `setting` is the key of the configuration that it overrides, empty where there is none.
    """

    names: tuple[str, ...]
    shape: Shape
    help: str
    group: str
    metavar: str = ""
    setting: str = ""
    off: str = ""
    hidden: bool = False

    @property
    def target(self) -> str:
        """The name under which the value is known to the program."""
        return self.names[0].removeprefix("--").replace("-", "_")


def _switch(
    name: str, help: str, group: str, *, short: tuple[str, ...] = (), hidden: bool = False
) -> Argument:
    return Argument((name, *short), Shape.SWITCH, help, group, hidden=hidden)


def _toggle(name: str, help: str, group: str) -> Argument:
    """A switch for the setting of the same name, which can also be turned off."""
    key = name.removeprefix("--")
    return Argument((name,), Shape.SWITCH, help, group, setting=key, off=f"--no-{key}")


def _value(name: str, metavar: str, help: str, group: str, *, short: tuple[str, ...] = ()) -> Argument:
    return Argument((name, *short), Shape.ONE, help, group, metavar)


def _setting(
    name: str,
    metavar: str,
    help: str,
    group: str,
    *,
    shape: Shape = Shape.ONE,
    short: tuple[str, ...] = (),
) -> Argument:
    """An option with a value for the setting of the same name."""
    return Argument((name, *short), shape, help, group, metavar, setting=name.removeprefix("--"))


RULES, FILES, OUTPUT, FIXES, RUN = "Rules", "Files", "Output", "Fixes", "Run"


def _threshold(name: str, help: str) -> Argument:
    return _setting(name, "NUMBER", help, "Thresholds", shape=Shape.DECIMAL)


_PLAIN: Mapping[Shape, Callable[[str], Any]] = {Shape.NUMBER: int, Shape.DECIMAL: float}
"""How digits are read where a number follows; anything else that may be one is left to typer."""

CACHE_FOLDER = _setting("--cache-dir", "FOLDER", "Where to remember it.", RUN)

COLOR = _value("--color", "WHEN", "Use colours: auto, always or never.", OUTPUT)

SELECTION = (
    _setting("--select", "RULES", "Use these rules: codes, prefixes, names or ALL.", RULES, shape=Shape.MANY),
    _setting("--extend-select", "RULES", "Use these rules as well.", RULES, shape=Shape.MANY),
    _setting("--ignore", "RULES", "Do not use these rules.", RULES, shape=Shape.MANY),
    _setting(
        "--per-file-ignores",
        "PATTERN:RULES",
        "Ignore rules in the files that match.",
        RULES,
        shape=Shape.MANY,
    ),
    _setting(
        "--severity", "RULE=LEVEL", "Rate a rule as note, warning or error, or off.", RULES, shape=Shape.MANY
    ),
    _toggle("--preview", "Use the rules that are still being tried out.", RULES),
    _setting("--target-torch", "VERSION", "The oldest PyTorch that the code runs on.", RULES),
    _setting("--exclude", "PATTERNS", "Leave out these files and folders only.", FILES, shape=Shape.MANY),
    _setting(
        "--extend-exclude", "PATTERNS", "Leave out these files and folders as well.", FILES, shape=Shape.MANY
    ),
    _toggle("--force-exclude", "Exclude also files that are named here.", FILES),
    _toggle("--respect-gitignore", "Leave out what git ignores.", FILES),
    _value("--config", "FILE", "Use this configuration file and no other.", RUN),
    _switch("--isolated", "Use no configuration file.", RUN),
    _setting(
        "--jobs",
        "N",
        "How many processes to use; 0 means one per processor.",
        RUN,
        shape=Shape.NUMBER,
        short=("-j",),
    ),
    _toggle("--cache", "Remember what was found in files that do not change.", RUN),
    CACHE_FOLDER,
    _switch("--quiet", "Print findings and nothing else.", OUTPUT, short=("-q",)),
    COLOR,
    _switch("--debug", "Show the traceback of an internal error.", RUN, hidden=True),
)

THRESHOLDS = (
    _threshold("--vanishing-decades", "From how many decades on a gradient counts as vanishing."),
    _threshold("--exploding-decades", "From how many decades on a gradient counts as exploding."),
    _threshold("--activation-decades", "From how many decades on activations count as growing or lost."),
    _threshold("--initialisation-decades", "How many decades an initialisation may cost."),
    _threshold("--recurrence-decades", "How many decades a gradient may change over the time steps."),
    _threshold("--saturated-share", "From which share on units count as saturated."),
    _threshold("--dead-share", "From which share on dead units are reported."),
)

LIMITS = (
    Argument(
        ("--python",),
        Shape.ONE,
        "The Python to verify with; it needs torch 2.1 or later.",
        "Verification",
        "PATH",
        setting="verify-python",
    ),
    Argument(
        ("--device",),
        Shape.ONE,
        "Where to verify: cpu, cuda, mps or auto.",
        "Verification",
        "DEVICE",
        setting="verify-device",
    ),
    Argument(
        ("--dtype",),
        Shape.ONE,
        "The precision to verify in.",
        "Verification",
        "DTYPE",
        setting="verify-dtype",
    ),
    _setting(
        "--verify-timeout",
        "SECONDS",
        "How long verifying one target may take.",
        "Verification",
        shape=Shape.DECIMAL,
    ),
    _setting(
        "--verify-memory",
        "MB",
        "How much memory verifying one target may take; 0 for any.",
        "Verification",
        shape=Shape.NUMBER,
    ),
)

REPORT = _value("--report", "FILE", "Write a page with plots and findings, as HTML.", OUTPUT)

VERIFY = (
    Argument(
        ("--arg",),
        Shape.MANY,
        "An argument of the model's constructor, as a Python expression.",
        "Verification",
        "NAME=VALUE",
    ),
    Argument(
        ("--input",),
        Shape.MANY,
        "An input of forward, such as x=float32[8,3,32,32] or ids=int64<1000[8,128].",
        "Verification",
        "NAME=FORM",
    ),
    *LIMITS,
    _value("--output-format", "FORMAT", "The form of the report: text or json.", OUTPUT),
    REPORT,
    COLOR,
    _switch("--quiet", "Print results and nothing else.", OUTPUT, short=("-q",)),
    _value("--config", "FILE", "Use this configuration file and no other.", RUN),
    _switch("--isolated", "Use no configuration file.", RUN),
    _switch("--debug", "Show the traceback of an internal error.", RUN, hidden=True),
)

CHECK = (
    *SELECTION,
    _toggle("--verify", "Measure what findings claim; this runs the code that is checked.", "Verification"),
    *LIMITS,
    _switch("--show-flow", "Show, with --verify, signal and gradient of every layer.", "Verification"),
    _setting("--fail-on", "LEVEL", "The least severity that makes the exit code 1.", RULES),
    _setting("--baseline", "FILE", "Do not report the findings in this file again.", RULES),
    *THRESHOLDS,
    _value("--stdin-filename", "FILE", "What `-`, the standard input, is the text of.", FILES),
    _setting("--output-format", "FORMAT", "The form of the report.", OUTPUT),
    _value("--output-file", "FILE", "Write the report to a file.", OUTPUT, short=("-o",)),
    REPORT,
    _switch("--statistics", "Count findings by rule.", OUTPUT),
    _switch("--show-coverage", "Count what the analysis did not understand.", OUTPUT),
    _switch("--show-files", "List the files that would be checked.", OUTPUT),
    _switch("--show-settings", "Show the settings that hold for each path.", OUTPUT),
    _switch("--exit-zero", "Exit with 0 whatever is found.", OUTPUT),
    _switch("--exit-non-zero-on-fix", "Exit with 1 if anything was fixed.", OUTPUT),
    _toggle("--fix", "Apply the safe fixes.", FIXES),
    _toggle("--unsafe-fixes", "Take also fixes that may change what the code does.", FIXES),
    _switch("--diff", "Show what fixes would change, and change nothing.", FIXES),
    _switch("--fix-only", "Apply fixes and report nothing.", FIXES),
)

BASELINE = (
    *SELECTION,
    _value(
        "--output", "FILE", "The file to write; by default the one that is configured.", OUTPUT, short=("-o",)
    ),
)

Values = Mapping[str, Any]
"""What was given, by target; for a switch True or False, for a repeated option the list of values."""


def read_quickly(words: Sequence[str], arguments: Sequence[Argument]) -> Values | None:
    """What the words say, or None where they are not plainly right."""
    values: dict[str, Any] = {PATHS: []}
    known = {name: argument for argument in arguments for name in (*argument.names, argument.off)}
    rest = iter(words)
    for word in rest:
        name, equals, text = word.partition("=")
        argument = known.get(name)
        if word == "--":
            values[PATHS].extend(rest)
        elif word == "-" or not word.startswith("-"):
            values[PATHS].append(word)
        elif argument is None or (equals and not _may_join(name, argument)):
            return None
        elif argument.shape is Shape.SWITCH:
            values[argument.target] = name != argument.off
        elif not _store(values, argument, text if equals else next(rest, None)):
            return None
    return values


def _may_join(name: str, argument: Argument) -> bool:
    """Whether `name=value` is a way to give the option a value."""
    return argument.shape is not Shape.SWITCH and name.startswith("--")


def _store(values: dict[str, Any], argument: Argument, text: str | None) -> bool:
    """Keep the value of an option; False where it is none."""
    if text is None:
        return False
    if argument.shape is Shape.MANY:
        values.setdefault(argument.target, []).append(text)
        return True
    convert = _PLAIN.get(argument.shape)
    if convert is not None and not (text.isascii() and text.isdigit()):
        return False
    values[argument.target] = convert(text) if convert is not None else text
    return True
