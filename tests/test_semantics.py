"""What is known of constants is what Python computes; where code is not followed, nothing is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.lint.models import models
from gradlint.records.graph import ModelGraph

HEAD = "import contextlib, dataclasses, functools\nfrom torch import nn\n{before}\n\nclass Net(nn.Module):\n"
VALUED = (
    HEAD
    + """
    def __init__(self):
        super().__init__()
        {code}
        self.layer = nn.Linear(8, 8)
        nn.init.normal_(self.layer.weight, std={value})

    def forward(self, x):
        return self.layer(x)
"""
)
COUNTED = (
    HEAD
    + """
    def __init__(self):
        super().__init__()
        layers = []
        {code}
        self.layers = nn.Sequential(*layers)

    {method}
    def forward(self, x):
        return self.layers(x)
"""
)

OWN = "class C:\n    {}\n"
BEHIND = "object.__setattr__(self, name, value + 1)"
VALUES = {
    "enumerate from one": ("for i, _ in enumerate([1, 2, 3], 1): pass", "i", "", 3),
    "set of a list": ("i = len(set([1, 2, 2, 3]))", "i", "", 3),
    "set display": ("i = len({1, 2, 2, 3})", "i", "", 3),
    "set comprehension": ("i = len({k % 2 for k in range(5)})", "i", "", 2),
    "deleted item": ("d = [1, 2, 3, 4]; del d[0]", "d[0] * len(d)", "", 6),
    "deleted slice": ("d = [1, 2, 3, 4]; del d[1:]", "len(d)", "", 1),
    "deleted key": ("d = {'a': 1, 'b': 2}; del d['a']", "len(d) + d['b']", "", None),
    "post-init": (
        "",
        "C(2).i",
        "@dataclasses.dataclass\n" + OWN.format("i: int\n    def __post_init__(self): self.i += 3"),
        5,
    ),
    "setter": (
        "c = C(); c.i = 2",
        "c.i",
        OWN.format(
            "@property\n    def i(self): return self.n\n    @i.setter\n    def i(self, v): self.n = v + 1"
        ),
        3,
    ),
    "setattr": ("c = C(); c.i = 2", "c.i", OWN.format(f"def __setattr__(self, name, value): {BEHIND}"), None),
    "descriptor": (
        "c = C(); c.i = 2",
        "c.i",
        "class D:\n    def __get__(self, o, t=None): return 3\n    def __set__(self, o, v): pass\n"
        + OWN.format("i = D()"),
        None,
    ),
    "dict of an object": ("c = C(); c.__dict__.update(i=3)", "c.i", OWN.format("i = 1"), None),
    "any attribute": ("c = C(); [setattr(c, k, 3) for k in unknown()]", "c.i", OWN.format("i = 1"), None),
    "dict of attributes": ("self.i = 1; vars(self)['i'] = 3", "self.i", "", None),
    "dict that is read": ("self.i = 1; print(vars(self)['i'])", "self.i", "", 1),
    "truth of an object": (
        "i = 3 if C() else 1",
        "i",
        OWN.format("def __bool__(self): return False"),
        None,
    ),
    "walrus in a generator": ("any((i := k) > 1 for k in [1, 2, 3])", "i", "", None),
    "walrus in a list": ("i = 0; [i := i + 1 for _ in range(3)]", "i", "", None),
    "walrus in a loop": ("i = 0\n        while unknown(): print(i := i + 1)", "i", "", None),
    "list of a module": ("", "len(L)", "L = [1, 2]\nL.append(3)", None),
    "item of a module": ("", "D['a']", "D = {'a': 1}\nfor k in 'ab': D[k] = 3", None),
    "table of a module": ("", "D['a']", "D = {'a': 1}\nD.update(a=3)", None),
    "table that is read": ("", "D['a']", "D = {'a': 1}\nprint(D['a'], D.get('b'))", 1),
    "global": ("global N; N = 1; bump()", "N", "N = 0\ndef bump():\n    global N\n    N += 3", None),
}
GROWING = "while {test}: layers.append(nn.Linear(8, 8)); {step}"
BUMP = "\n        def bump():\n            nonlocal i\n            i += 1\n        "
COUNTS = {
    "plainly": ("i = 0", "i < 6", "i += 1", "", 6),
    "in another function": ("i = 0" + BUMP, "i < 6", "i += 1; bump()", "", 3),
    "in a comprehension": ("i = 0", "i < 6", "i += 1; [i := i + 1 for _ in range(1)]", "", 3),
    "behind another name": ("self.i = 0; o = self", "self.i < 6", "self.i += 1; o.i += 1", "", 3),
    "by a method": (
        "self.i = 0; b = self.bump",
        "self.i < 6",
        "self.i += 1; b()",
        "def bump(self): self.i += 1",
        3,
    ),
    "in a dictionary": ("self.i = 0", "self.i < 6", "self.i += 1; self.__dict__.update(i=self.i + 1)", "", 3),
    "down again": (
        "self.i = 0; o = self; o.n = 3",
        "self.i < 3",
        "self.i += 1; o.i -= o.n > 0; o.n -= 1",
        "",
        6,
    ),
}


def _read(folder: Path, code: str) -> ModelGraph:
    (folder / "net.py").write_text(code)
    (graph,) = models(str(folder / "net.py"), "Net")
    return graph


@pytest.mark.parametrize("case", VALUES)
def test_constants_are_those_of_python(tmp_path: Path, case: str) -> None:
    code, value, before, expected = VALUES[case]
    weight, _ = _read(tmp_path, VALUED.format(code=code, value=value, before=before)).parameters
    assert weight.initial.settings.get("std") == expected


@pytest.mark.parametrize("case", COUNTS)
def test_loops_end_where_something_else_counts_as_well(tmp_path: Path, case: str) -> None:
    start, test, step, method, real = COUNTS[case]
    code = f"{start}\n        {GROWING.format(test=test, step=step)}"
    graph = _read(tmp_path, COUNTED.format(code=code, before="", method=method))
    found = sum(node.op == "linear" for node in graph.nodes)
    assert 0 < found <= real
    assert found == real or case not in ("plainly", "behind another name", "by a method")


CACHED = {
    "unlimited": ("@functools.lru_cache(maxsize=None)", "f(8), f(8)", 1),
    "by default": ("@functools.lru_cache", "f(8), f(8)", 1),
    "not at all": ("@functools.lru_cache(maxsize=0)", "f(8), f(8)", 2),
    "the last": ("@functools.lru_cache(1)", "f(8), f(4) and f(8)", 2),
    "the last two": (
        "@functools.lru_cache(maxsize=2)",
        "f(8), f(4) and f(8), f(2) and f(8), f(4) and f(8)",
        1,
    ),
    "until cleared": ("@functools.cache", "f(8), [f.cache_clear(), f(8)][1]", 2),
}


@pytest.mark.parametrize("case", CACHED)
def test_cached_functions_give_the_same_object_as_long_as_they_keep_it(tmp_path: Path, case: str) -> None:
    decorator, made, real = CACHED[case]
    before = f"{decorator}\ndef f(n):\n    return nn.Linear(8, n)\n"
    code = f"layers += [{made}]"
    graph = _read(tmp_path, COUNTED.format(code=code, before=before, method=""))
    assert len({n.parameters["weight"].path for n in graph.nodes if n.op == "linear"}) == real
