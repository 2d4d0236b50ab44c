"""HTML as a tree: what is put into it is escaped when the tree is written."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, tostring

from gradlint.report.terminal import visible

Child = Element | str | None
DOCTYPE = "<!DOCTYPE html>\n"


def element(tag: str, *children: Child, **attributes: str | float | None) -> Element:
    """A tag with its content; None is left out, `class_` is `class` and `stroke_width` `stroke-width`."""
    given = {_name(key): _text(value) for key, value in attributes.items() if value is not None}
    made = Element(tag, given)
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif child:
            _append(made, plain(child))
    return made


def inline(text: str) -> list[Child]:
    """A sentence; what stands between backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return [text]
    return [element("code", part) if number % 2 else part for number, part in enumerate(parts)]


def plain(text: str) -> str:
    """`text` without what an HTML document cannot hold; tabs and line feeds stay."""
    return "".join(_pieces(text)).encode("utf-8", "replace").decode("utf-8")


def document(root: Element) -> str:
    """A whole page."""
    return f"{DOCTYPE}{tostring(root, encoding='unicode', method='html')}\n"


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _text(value: str | float) -> str:
    return plain(value) if isinstance(value, str) else f"{value:.5g}"


def _append(made: Element, text: str) -> None:
    if len(made):
        made[-1].tail = (made[-1].tail or "") + text
    else:
        made.text = (made.text or "") + text


def _pieces(text: str) -> Iterator[str]:
    return (each if each in "\t\n" else visible(each) for each in text)
