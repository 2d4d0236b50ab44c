"""Text that libcst reads becomes the very tree that `ast` builds, or would build if it could read it."""

from __future__ import annotations

import ast
import sys
import sysconfig
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hypothesmith
import libcst
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gradlint.syntax.newer import parse

ROOT = Path(__file__).parents[1]
OWN = sorted(path for folder in ("gradlint", "rules", "tests") for path in (ROOT / folder).rglob("*.py"))
LIBRARY = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))

LINES = r"""
ª = ﬁ = é; True, False, None, __debug__; ((é)).ﬁ
1_000, 0x_ff, 0o17, 0b1, 1e-5, .5, 5., 1_0.0_1, 3j, 1_0.5e1J, 00, ..., - 1 ** -2
'a', b"a\x00", rb"\x00", u'a', U'a', R'\'', '\N{EM DASH}\ud800', "\d\é", '', '' ''
'é' 'ü' "c", u'a' 'b', 'a' u'b', b'a' B'b', ('a' 'b'), ('a') + ('b')
f'', f'a', f'{x}', f'a{{b}}{x}}}{{', f'{x!r:>{w}.{p}}', f'{x:%H:%M}{d["a"]}', f'{x:{y}a{z}}'
f'{x = }', f'{ x=!s:^9}', f'{x=:}{y:}', f'{x=}' f'{y=}', f'a{x= !r:>{w}}c'
rf'\d{x}', f'\{x}', f'\n{x:\n}', f'\N{EM DASH}{x}\}}', f'"{x}"\'\"', f'\{{a', fR'{x}\"', f'"\n"{x}'
'a' f'{x}' 'b' u'c', u'a' f'b', f'{x}' '' f'y', f'' 'a', f'{x}' '', '{x}' f'{{'; f'é{ü}é' + é
f'{(x, y)}{[1][0]}{ {1: 2}[1] }{(lambda x: 1)}{x if y else z}{x != y}', f'{f"{x}"}', f'{yield}', f'{x,}'
a + b - c * d @ e / f // g % h ** i << j >> k & l | m ^ n; not - + ~ x; a - (b - c)
(a and b) and c and d or e and (f and g) or (h or i); a if b else (c if d else e)
not a in b is not c not in d is e != f == g; (a) < ((b)) <= c > d >= e
(); (1,); ((1, 2)); ( ( ) ); 1, ; []; [1, *a, (b)]; [(1), ]; {1, *a}; {}; {**a}; (((1, ), ))
x = 1, 2,  # after a comma
{1: 2, **a, 'b': (c), }; *a, b; (*a, b); x = *a,
[x for x in y]; {x: y for x, y in z if a if b}; {x for (x) in y for x, in z}; (x for x in y); ((x) for x in y)
f(x for x in y); f( x for x in y )(z); f((x for x in y)); f((x for x in y), 1); é(x for x in é)
a[b]; a[(b)]; a[1, 2]; a[(1), (2)]; a[1,]; a[(1, 2)]; a[é:ü, ]; a[b := 1]; a[x if y else z]; a[b][c].d[e:f:g]
a[:]; a[ : ]; a[1:]; a[:2]; a[::3]; a[1: :3 ]; a[1 : (2)]; a[1:2, ::3, ...]; a[1: , 2: ]; a[:, None]
f(); f( ); f(a, *b, c=1, **d, e=(2)); f(a=(1), ); f(*(a)); f(** a); f(a := 1); (f)(a); f(a)(b)(c); f(*a, b)
lambda: 1; lambda x: x; lambda a, /, b=1, *c, d, e=2, **f: (a); lambda *, a: a; lambda * a, ** b : 1
def f(a: int, b: (str) = (1), /, c=2, *args: é, d, e: int = 3, **kw: dict) -> (int): return
def f(a, *, b): return a; pass;
class A: pass
class A(B, *c, metaclass=D, **e): x;
x = y = (z); (x) = [a, (b)] = c, *d = e; () = []; for_ = lambda: 1 ;
x: int; (a.b).c += 1; a.b.c: int = 1; a[1]: int; x: tuple = 1, 2; a.b @= c; a[1:2] //= (3)
del a; del a, b[1], c.d; del (a, b); del (a), [b, c]; del (a); del a,
assert a, (b); raise; raise a; raise (a) from (b); global a, b; return; return 1,; x = yield; yield from (z)
import a; import a.b.c as d, e; import a . b; from a import b; from . import a; from .a import(b)
from .. a.b import (c as d, e,); from ... import *; from .... a import b
if a: b;
while a: b; break ; continue
for x, (y, *z) in *a, b: pass
with a as b, (c) as (d): e;
with (a, b): c
with (a as b, c as d,): e
with (a, b) as c, d as (e, f), g as h[1]: i
if (y := f(x)) > 1: (z := 2)
match = case = type = _ = 1; match[x]; match(x); print
"""

BLOCKS = [
    "",
    "\n",
    "# only a comment",
    "\n\n  # far\nx\n#",
    "x\n\x0c\ny",
    "x = '''a\né\\\n''' 'b'\\\n  'c'\ny",
    "(f'a'\n 'b' # é\n f'{x}')",
    "f'''a\n{\nx\n}\n{y!r:>\n}'''; é",
    "( # x\n a + b # y\n)\na = -  1\\\n  + 2",
    "f(\n  x\n  for x in y\n)\nf(\n  a,\n  b = 1 # c\n)\n(a\n .b\n .c())",
    '"""Doc."""\ndef f():\n    """Doc\n    é"""\n\n    # end\n',
    "@a\n@ (b.c)\n@d(1)\n\n# c\nclass A(B):\n\n  r'''Doc'''\n  @e\n  def f(self): ...\n  # c\n",
    "@a\nasync  def f() -> None:\n  async with a as b, c: await d\n  async for x in y: pass\n  else: z;\n",
    "async def f():\n  return [x async for x in y if await z for z in w]",
    "if a: b;\nelse: c ; d ;",
    "if a:\n  b\nelif (c):\n  d\nelif e: f;\nelse:\n  g\n\n# end",
    "if a:\n\tif b:\n\t\tc\n\t# d\n\nelse:\n\te\n",
    "while a:\n  b\nelse:\n  c",
    "try: a\nfinally: b",
    "try:\n  a\nexcept (A, B) as e: c;\nexcept (D):\n  d\nexcept: e\nelse: f\nfinally:\n  g;",
    "match (x):\n  case 1:\n    a\n  case 2: b\n# c\n",
    "match x, *y:\n case 1 if (a): a\nmatch x,:\n case a: b\nc",
]

PATTERNS = """
_ | (None) | True | 1 | -1 | -1.5 - 2j | 'a' 'b' | b'a' | a.b.c | ((1))
[] | () | [a, *b] | (a, *_) | (a,) | [ * _ , ] | (( a, b )) | (a)
*a, b ,
a,
{} | {'a': 1, **b} | {1: a, b.c: (d), } | {-1: _} | {'a': A(b=[1, 2])}
A() | a.B(1, c=d, e=(f), ) | A(b, )
[a as b, (c) as d] | (a | b) as c
"""

NEWER = {
    "type X = int": "X = int",
    "type X[T: int = str, *Ts, **P] = list[T];": "X = list[T]",
    "def f[T](x: T) -> T: return x": "def f(x: T) -> T: return x",
    "async def f[**P](): pass": "async def f(): pass",
    "class A[T: (int, str)](B[T], c=1): x: T": "class A(B[T], c=1): x: T",
    "try: a\nexcept* (B) as c: d;\nelse: e": "try: a\nexcept (B) as c: d;\nelse: e",
    "try: a\nexcept B, C: d": "try: a\nexcept (B, C): d",
    "try: a\nexcept* B, C: d": "try: a\nexcept (B, C): d",
    "f'{x['a']}' 'b'": 'f\'{x["a"]}\' "b"',
    "f'{f'{f'{x!r:>4}'}'}'": "f'''{f\"{f'{x!r:>4}'}\"}'''",
    "f'{\n x # why\n}'": "f'{x}'",
    "t'a{x!r:>4}b{y = }'": "f'a{x!r:>4}b{y = }'",
    "rt'\\d{x}'": "rf'\\d{x}'",
    "a[*b], a[ *b ,], a[b, *c]": "a[(*b,)], a[(*b,)], a[(b, *c)]",
}


class _Older(ast.NodeTransformer):
    """The nearest older equivalent of what only some interpreters have nodes for."""

    def visit(self, node: ast.AST) -> Any:
        node = super().visit(node)
        if hasattr(node, "type_params"):
            node.type_params = []
        return node

    def visit_TryStar(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.Try(node.body, node.handlers, node.orelse, node.finalbody), node)

    def visit_TypeAlias(self, node: Any) -> ast.AST:
        return ast.copy_location(ast.Assign([node.name], node.value), node)

    def visit_TemplateStr(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.JoinedStr(node.values), node)

    def visit_Interpolation(self, node: Any) -> ast.AST:
        return ast.copy_location(ast.FormattedValue(node.value, node.conversion, node.format_spec), node)


def expected(text: str) -> ast.Module:
    """The interpreter's own tree, without what older ones cannot say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree: ast.Module = _Older().visit(ast.parse(text))
    return tree


def agree(text: str) -> bool:
    """Whether both ways lead to one tree, positions included."""
    return described(parse(text)) == described(expected(text))


def described(tree: ast.Module) -> str:
    """The tree with its positions; those inside formatted strings are right only since 3.13."""
    if sys.version_info < (3, 13):
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                forget_positions(node)
    return ast.dump(tree, include_attributes=True)


def forget_positions(string: ast.JoinedStr) -> None:
    """Some versions also leave empty texts in the string."""
    string.values = [value for value in string.values if getattr(value, "value", None) != ""]
    for part in ast.walk(string):
        if part is not string:
            part.__dict__.update(dict.fromkeys(part._attributes, 0))


def is_readable(text: str) -> bool:
    """Whether the interpreter's own grammar covers the text."""
    try:
        expected(text)
    except (SyntaxError, ValueError):
        return False
    return True


def is_readable_by_libcst(text: str) -> bool:
    """Whether libcst reads the text; it refuses a file of nothing but a line continuation, say."""
    try:
        libcst.parse_module(text)
    except libcst.ParserSyntaxError:
        return False
    return True


def disagreeing(paths: Iterable[Path]) -> list[Path]:
    texts = ((path, path.read_text(encoding="utf-8")) for path in paths)
    return [path for path, text in texts if is_readable(text) and not agree(text)]


def test_own_files_convert_exactly() -> None:
    assert disagreeing(OWN) == []


def test_a_sample_of_the_library_converts_exactly() -> None:
    small = [path for path in LIBRARY if path.stat().st_size < 12_000]
    assert disagreeing(small[:: len(small) // 40]) == []


@pytest.mark.slow
def test_the_library_converts_exactly() -> None:
    assert disagreeing(LIBRARY) == []


def test_every_construct_converts_exactly() -> None:
    matches = [f"match x:\n    case {pattern} : pass;\n" for pattern in PATTERNS.strip().splitlines()]
    assert [text for text in (*LINES.strip().splitlines(), *BLOCKS, *matches) if not agree(text)] == []


@pytest.mark.parametrize("text", NEWER)
def test_newer_grammar_becomes_the_nearest_older_tree(text: str) -> None:
    assert ast.dump(parse(text)) == ast.dump(ast.parse(NEWER[text]))
    assert not is_readable(text) or agree(text)


@pytest.mark.parametrize(
    ("text", "statement", "name"),
    [
        ("é = 1; type Ü[T] = x ; ", (1, 8, 1, 22), (1, 21, 1, 22)),
        ("def f[T](ü): x", (1, 0, 1, 15), (1, 14, 1, 15)),
        ("try:\n  pass\nexcept* é, x: ü;\n", (1, 0, 3, 18), (3, 12, 3, 13)),
        ("é; f'{'ü'}é{ x }'", (1, 4, 1, 20), (1, 16, 1, 17)),
        ("t'''\né{\nx!r}'''", (1, 0, 3, 7), (3, 0, 3, 1)),
    ],
)
def test_newer_grammar_has_positions_in_bytes(text: str, statement: Any, name: Any) -> None:
    tree = parse(text)
    (place,) = {where(node) for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "x"}
    assert (where(tree.body[-1]), place) == (statement, name)


def where(node: Any) -> tuple[int, int, int, int]:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("f''", []),
        ("'' f'{x}' ''", [("FormattedValue", 5, 8)]),
        ("'é' f'{{{x}b' 'c'", [("Constant", 0, 9), ("FormattedValue", 9, 12), ("Constant", 12, 18)]),
        ("f'é{ x = !r:>{w}}'", [("Constant", 2, 10), ("FormattedValue", 4, 18)]),
    ],
)
def test_parts_of_a_formatted_string_have_their_own_positions(text: str, parts: Any) -> None:
    (statement,) = parse(text).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.JoinedStr)
    found = [(type(part).__name__, part.col_offset, part.end_col_offset) for part in statement.value.values]
    assert found == parts


def test_a_format_specification_stands_between_its_colon_and_the_brace() -> None:
    tree = parse("f'{x:}' f'{x:>{w}}'")
    fields = [node for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)]
    specs = [field.format_spec for field in fields if field.format_spec]
    assert [(spec.col_offset, spec.end_col_offset) for spec in specs] == [(4, 5), (12, 17)]


@given(hypothesmith.from_grammar() | hypothesmith.from_node())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_programs_convert_exactly(text: str) -> None:
    assume(is_readable(text) and is_readable_by_libcst(text))
    assert agree(text)


ATOMS = ["x", "é", "1", "'ü'", "...", "()", "f'{é!r}'", "'ü'\\\n f'é'", "b''"]
FORMS = [
    "({})",
    "(\n {} )",
    "( ( {} ) )",
    "({} .é)",
    "(- {})",
    "({} + {})",
    "({} and {} or {})",
    "({}\\\n < {})",
    "({} if {} else {})",
    "(é := {})",
    "(lambda é={}, *ü : {})",
    "({}, *{} ,)",
    "[{}, # é\n{}]",
    "{{{}: {}, ** {} }}",
    "[{} async for é , in {} if {}]",
    "é( {} for ü in {} )",
    "{}({}, *{}, é = {}, )",
    "{}[{} : {} : ]",
    "{}[{}, :: {} , ]",
]
STATEMENTS = [
    "{}\n",
    "é = ü, = {} , ;\n",
    "é : {} = {} # ü\n",
    "if {}: é ;\nelif {}:\n\té ; ü ;\n # ü\n\nelse: {}\n",
    "with {} as é, {}: {}\n",
    "for é in {}, {} , : {} ;\n",
    "@{}\n\n# é\ndef é ( ü = {}, * , y : {} ) -> {} : return {} ,\n",
    "class É(*{}, é={}):\n  {}\n",
]


@st.composite
def filled(draw: st.DrawFn, templates: list[str], parts: st.SearchStrategy[str]) -> str:
    """A template with something in each of its places."""
    template = draw(st.sampled_from(templates))
    return template.format(*(draw(parts) for _ in range(template.count("{}"))))


expressions = st.recursive(st.sampled_from(ATOMS), lambda parts: filled(FORMS, parts), max_leaves=12)


@given(st.lists(filled(STATEMENTS, expressions), min_size=1, max_size=3).map("".join))
@settings(deadline=None)
def test_nested_and_oddly_spaced_code_converts_exactly(text: str) -> None:
    assert agree(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x =", 1),
        ("type X = ", 1),
        ("a\n(", 2),
        ("def f():\n  x = 1\n  y = = 2\n", 3),
        ("é\nb'é'", 2),
        ("x\n'é' '\\N{no such}'", 2),
        ("f'{x'", 1),
        ("'a' t'b'", 1),
        ("é\n{**a for a in b}", 2),
        ("try: a\nexcept: b\nexcept A: c", 1),
        ("x = '\0'", 1),
        ("x = '\ud800'", 1),
        ("type X = int\nx: X = 1\ny = = 2\n", 3),
        ("def f[T](x: T) -> T:\n    return x\n\nclass A:\n    x = 1\n    y = 2 3\n", 6),
    ],
)
def test_what_neither_can_read_is_a_syntax_error_with_a_place(text: str, line: int) -> None:
    with pytest.raises(SyntaxError) as caught:
        parse(text)
    assert caught.value.lineno == line
    assert (caught.value.offset or 0) >= 1


@pytest.mark.parametrize(
    "nested",
    [
        "[" * 100_000,
        "x = " + "(" * 5_000 + ")" * 5_000,
        "x = " + "not " * 50_000,
        "x = " + "lambda: " * 50_000 + "x",
        "x = " + "-" * 50_000 + "x",
        "x = x" + ".a" * 50_000,
        "x = x" + "[0]\\\n" * 50_000,
        "x = (" + "x\n + " * 50_000 + "x)",
        "x = " + "x if x else " * 50_000 + "x",
        "if x: pass\n" + "elif x: pass\n" * 50_000,
    ],
    ids=lambda nested: nested[4:20],
)
def test_deep_nesting_does_not_end_the_process(nested: str) -> None:
    with pytest.raises(RecursionError):
        parse(nested)


def test_much_code_is_not_deep_code() -> None:
    items = "\n".join(f"    -{number} + x.a.b[0] * not_{number}(x)," for number in range(3_000))
    art = '"""' + "-+*" * 2_000 + '"""  # ' + "- " * 2_000
    assert len(parse(f"x = [\n{items}\n]\ny = {art}\n" + "z = -x + y\n" * 2_000).body) == 2_002
    branches = "def f(x):\n    if x: pass\n" + "    elif x: pass\n" * 30
    assert len(parse(branches * 40).body) == 40
