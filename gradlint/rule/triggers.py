"""Where in a text the functions stand that several rules look at."""

from __future__ import annotations

from collections.abc import Mapping

_NOT_OF_TORCH = r"(?<![\w\"'])(?<!math\.)(?<!np\.)(?<!numpy\.)(?<!self\.)(?<!wandb\.)"
_USED = r"(?=\s*[(,)\]}#\n]|\s+as\b|\s*$)"

LOGARITHM: Mapping[str, str] = {
    "log": rf"{_NOT_OF_TORCH}log(?:1p|2|10)?_?{_USED}",
    "xlogy": "",
    "special.entr": "",
}
EXPONENTIAL: Mapping[str, str] = {"exp": rf"{_NOT_OF_TORCH}exp_?{_USED}"}
DEVIATION: Mapping[str, str] = {
    "std": rf"(?<=\.)(?<!np\.)std(?:_mean)?{_USED}",
    "var": rf"(?<=\.)(?<!np\.)var(?:_mean)?{_USED}",
}
NORM: Mapping[str, str] = {
    "norm": rf"(?<!self\.)(?:(?<=\.)|(?<=vector_)|(?<=matrix_)|(?<=import ))norm{_USED}"
}
VANISHING: Mapping[str, str] = {
    **NORM,
    "sum": rf"(?<=\.)sum{_USED}",
    "abs": rf"(?<=\.)abs{_USED}",
    "min": rf"(?:(?<=\.)|(?<=\.a))min{_USED}",
    "cdist": "",
    "pairwise_distance": "",
    "count_nonzero": "",
}
"""Reductions that reach 0."""
