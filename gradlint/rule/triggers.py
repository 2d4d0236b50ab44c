"""Where in a text the functions stand that several rules look at."""

from __future__ import annotations

from collections.abc import Mapping

_NOT_OF_TORCH = r"(?<![\w\"'])(?<!math\.)(?<!np\.)(?<!numpy\.)(?<!self\.)(?<!wandb\.)"
_USED = r"(?=\s*[(,)\]}#\n]|\s+as\b|\s*$)"

LOGARITHM: Mapping[str, str] = {"log": rf"{_NOT_OF_TORCH}log(?:1p|2|10)?_?{_USED}"}
EXPONENTIAL: Mapping[str, str] = {"exp": rf"{_NOT_OF_TORCH}exp_?{_USED}"}
