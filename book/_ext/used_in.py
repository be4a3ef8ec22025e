"""The reference of the code says which lessons show or call a function.

A lesson uses `ssm.recurrence` if a listing shows it (`:pyobject:`) or a cell
names it. The lessons are read as text, so that the reference page depends on
them and not the other way round.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from execution_key import code_of
from lesson import front_matter

LISTING = re.compile(
    r"\{literalinclude\} \S*/(\w+)\.py\n(?::.*\n)*?:pyobject: ([\w.]+)"
)


def names_in(page: str) -> Iterator[str]:
    """What of the package a page shows or names, as "module.function"."""
    for module, name in LISTING.findall(page):
        yield f"{module}.{name}"
    for node in ast.walk(ast.parse(code_of(page))):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                yield f"{module}.{name}"


def lessons_using(app: Sphinx, name: str) -> list[str]:
    """The lessons, in their order, that use "module.function"."""
    found = []
    for docname in app.env.found_docs:
        path = Path(app.env.doc2path(docname))
        facts = front_matter(path).get("lesson")
        if facts:
            app.env.note_dependency(path)
            if name in set(names_in(path.read_text(encoding="utf-8"))):
                found.append((facts["number"], docname))
    return [docname for _, docname in sorted(found)]


def add_lessons(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines
) -> None:
    package, _, name = name.partition(".")
    if what in ("function", "class") and package == "snippets":
        links = [f":doc:`/{page}`" for page in lessons_using(app, name)]
        if links:
            lines += ["", f"Used in {', '.join(links)}."]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", add_lessons, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
