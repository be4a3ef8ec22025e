"""Recaps of earlier ideas know what builds on them.

A recap is a section with a label `recap-...`. Below it stand the lessons that
refer to it, found in their text (see `used_in`). The directive `connections`
shows connections.yaml as a table: what is new in this book, the ideas it
builds on, and the lesson, which is a link as soon as it is written.

With `earlier_series_url` set, a recap's first words, which say where the idea
comes from, are a link to the hosted lesson of the earlier series.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from used_in import lessons, users

logger = logging.getLogger(__name__)

LABEL = re.compile(r"^\((recap-[\w-]+)\)=$", re.MULTILINE)
REFERENCE = re.compile(r"\{ref\}`(?:[^`<]*<)?(recap-[\w-]+)>?`")
NBSP = "\N{NO-BREAK SPACE}"
ROW = {"new", "builds_on", "source", "lessons"}
TABLE = """```{{list-table}}
:class: connections longtable
:header-rows: 1
:widths: 32 40 28

* - In this book
  - builds on
  - in the lesson
{}
```"""


def recaps_in(page: str) -> Iterator[str]:
    """The labels of the recaps that a page refers to."""
    yield from REFERENCE.findall(page)


def connections(env: BuildEnvironment) -> tuple[Path, dict[str, Any]]:
    """What connections.yaml says, with the line of each row."""
    path = Path(env.srcdir, "connections.yaml")
    env.note_dependency(path)
    text = path.read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    parts = {key.value: node for key, node in yaml.compose(text).value}
    for row, node in zip(data["rows"], parts["rows"].value, strict=True):
        row["line"] = node.start_mark.line + 1
    return path, data


class Connections(SphinxDirective):
    """`{connections}`: the table of what builds on what."""

    def run(self) -> list[nodes.Node]:
        self.path, data = connections(self.env)
        page = Path(self.env.doc2path(self.env.docname))
        self.recaps = LABEL.findall(page.read_text(encoding="utf-8"))
        self.titles = data["lessons"]
        self.written = [lesson for lesson, _ in lessons(self.env)]
        rows = [self.cells(row) for row in data["rows"] if self.whole(row)]
        lines = ["* - {}\n  - {}\n  - {}".format(*row) for row in rows]
        return self.parse_text_to_nodes(TABLE.format("\n".join(lines)))

    def whole(self, row: dict[str, Any]) -> bool:
        wrong = sorted(ROW ^ (row.keys() - {"line"}))
        if wrong:
            self.warn(row, f"missing or unknown in a row: {', '.join(wrong)}")
        return not wrong

    def cells(self, row: dict[str, Any]) -> tuple[str, str, str]:
        ideas = (self.idea(row, *item) for item in row["builds_on"].items())
        series = row["source"].partition(" (")[0].replace(" ", NBSP, 1)
        titles = (self.lesson(row, lesson) for lesson in row["lessons"])
        return row["new"], f"{', '.join(ideas)}, {series}", ", ".join(titles)

    def idea(self, row: dict[str, Any], text: str, label: str) -> str:
        known = self.known(row, "recap", label, self.recaps)
        return f"{{ref}}`{text} <{label}>`" if known else text

    def lesson(self, row: dict[str, Any], slug: str) -> str:
        if slug in self.written:
            return f"{{doc}}`/{slug}`"
        known = self.known(row, "lesson", slug, self.titles)
        return self.titles[slug] if known else slug

    def known(
        self, row: dict[str, Any], what: str, name: str, names: Iterable[str]
    ) -> bool:
        if name in names:
            return True
        near = ", ".join(get_close_matches(name, names, 3, cutoff=0))
        self.warn(row, f"there is no {what} {name}; the nearest: {near}")
        return False

    def warn(self, row: dict[str, Any], message: str) -> None:
        place = f"{self.path}:{row['line']}"
        logger.warning(message, location=place, type="recaps")


def add_links(app: Sphinx, doctree: nodes.document) -> None:
    """From every recap to the lessons: the earlier one, and those here."""
    for section in doctree.findall(nodes.section):
        for label in section["ids"]:
            if label.startswith("recap-"):
                link_source(app, section, label)
                if pages := users(app.env, recaps_in).get(label):
                    add_below(section, taken_up_in(app.env.docname, pages))


def add_below(section: nodes.section, line: nodes.paragraph) -> None:
    """Add a line, but before the label of the section that follows."""
    place = len(section)
    while isinstance(section[place - 1], nodes.target):
        place -= 1
    section.insert(place, line)


def taken_up_in(here: str, pages: list[str]) -> nodes.paragraph:
    line = nodes.paragraph("", "Taken up in ", classes=["taken-up-in"])
    for i, page in enumerate(pages):
        line += [nodes.Text(", ")] if i else []
        about = {"refdomain": "std", "reftype": "doc", "refexplicit": False}
        about |= {"refdoc": here, "reftarget": f"/{page}", "refwarn": True}
        line += addnodes.pending_xref("", nodes.inline(), **about)
    line += nodes.Text(".")
    return line


def link_source(app: Sphinx, section: nodes.section, label: str) -> None:
    base = app.config.earlier_series_url.rstrip("/")
    if not base:
        return
    _, data = connections(app.env)
    source = next(section.findall(nodes.emphasis))
    if slug := data["hosted"].get(label):
        link = nodes.reference("", "", refuri=f"{base}/{slug}")
        source.replace_self(link)
        link += source


def setup(app: Sphinx) -> ExtensionMetadata:
    app.setup_extension("used_in")
    app.add_config_value("earlier_series_url", "", "env", [str])
    app.add_directive("connections", Connections)
    app.connect("doctree-read", add_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
