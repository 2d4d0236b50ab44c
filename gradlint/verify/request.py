"""What a user asks of a verification."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class TargetSettings(Struct, frozen=True):
    """What is known of a target: (name, Python expression) of arguments, (name, dtype, shape) of inputs."""

    arguments: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()


class Request(Struct, frozen=True):
    """How to verify: the interpreter, where and in what precision to run, and the limits of one target.

    `seconds` and `megabytes` hold for one target; `targets` are settings of targets by
    "package.module:Name", and `given` for all of them. With `shows_flow` the layers of every run are told.
    """

    python: str
    device: str = "cpu"
    dtype: str = "float32"
    seconds: float = 60.0
    megabytes: int = 4096
    targets: Mapping[str, TargetSettings] = {}
    given: TargetSettings = TargetSettings()
    shows_flow: bool = False
