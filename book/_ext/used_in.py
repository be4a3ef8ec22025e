"""What is explained in one place says which lessons use it.

A lesson uses `ssm.recurrence` if a listing shows it (`:pyobject:`) or a cell
names it; the reference of the code says so under the function. `recaps` does
the same for ideas. The lessons are read as text, so that the page that lists
them depends on them and not the other way round: it is read again when a
lesson changes, goes or comes.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

from execution_key import code_of
from lesson import front_matter

LISTING = re.compile(
    r"\{literalinclude\} \S*/(\w+)\.py\n(?::.*\n)*?:pyobject: ([\w.]+)"
)
LISTS_LESSONS = "lists lessons"  # in the metadata of a page that does


def names_in(page: str) -> Iterator[str]:
    """What of the package a page shows or names, as "module.function"."""
    for module, name in LISTING.findall(page):
        yield f"{module}.{name}"
    for node in ast.walk(ast.parse(code_of(page))):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                yield f"{module}.{name}"


def lessons(env: BuildEnvironment) -> list[tuple[str, str]]:
    """The lessons in their order, each with its text.

    From here on the page that is being read depends on them.
    """
    env.metadata[env.docname][LISTS_LESSONS] = True
    found = []
    for docname in env.found_docs:
        path = Path(env.doc2path(docname))
        if facts := front_matter(path).get("lesson"):
            env.note_dependency(path)
            text = path.read_text(encoding="utf-8")
            found.append((facts["number"], docname, text))
    return [(docname, text) for _, docname, text in sorted(found)]


def users(
    env: BuildEnvironment, names_in: Callable[[str], Iterator[str]]
) -> dict[str, list[str]]:
    """For each name in the text of a lesson, the lessons it stands in."""
    page = env.current_document  # and what is kept there ends with it
    key = f"users {names_in.__module__}.{names_in.__name__}"
    if key not in page:
        page[key] = found = {}
        for lesson, text in lessons(env):
            for name in set(names_in(text)):
                found.setdefault(name, []).append(lesson)
    return page[key]


def new_lessons(
    app: Sphinx,
    env: BuildEnvironment,
    added: set[str],
    changed: set[str],
    removed: set[str],
) -> list[str]:
    """No page depends yet on a lesson that was not there."""
    paths = (Path(env.doc2path(page)) for page in added | changed)
    if not any(front_matter(path).get("lesson") for path in paths):
        return []
    pages = env.metadata.items()
    return [page for page, about in pages if LISTS_LESSONS in about]


def add_lessons(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines
) -> None:
    package, _, name = name.partition(".")
    if what in ("function", "class") and package == "snippets":
        pages = users(app.env, names_in).get(name, [])
        if pages:
            links = ", ".join(f":doc:`/{page}`" for page in pages)
            lines += ["", f"Used in {links}."]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", add_lessons, priority=900)
    app.connect("env-get-outdated", new_lessons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
