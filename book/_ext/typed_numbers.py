"""A number that the page's code made is never typed: prose would drift.

A cell glues its numbers, and the sentence shows them by `{glue:text}`. After
the cells of a page have run, the numbers typed in its prose are held against
the glued ones, be they shown elsewhere on the page or nowhere. One that
repeats them is reported if it has three digits that count, or is a
percentage: shorter ones agree by chance too often. So do percentages in a
sentence that cites, which are a paper's.

Formulas, code, headings, citations and years are let be. So a number that
only happens to agree can be written as a formula.
"""

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

from docutils import nodes
from myst_nb.core.variables import format_plain_text
from myst_nb.ext.glue.crossref import read_glue_cache
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)

NUMBER = re.compile(
    r"(?<![\w.,/§-])(\d[\d,]*(?:\.\d+)?)(?![\d,.]*\w)(\s?(?:%|percent\b))?"
)
YEAR = re.compile(r"(19|20)\d\d")
SHOWN = re.compile(r"\{glue:text\}`([^`]+)`")
NOT_PROSE = (nodes.literal, nodes.math, nodes.raw, nodes.reference)
CITATION, ELSE = "@", "$"  # they stand in prose for what is none


def value(number: re.Match[str]) -> tuple[Decimal, bool]:
    """What a number says, and whether it is a percentage."""
    return Decimal(number[1].replace(",", "").rstrip(".")), bool(number[2])


def digits(number: str) -> int:
    """How many of its digits count."""
    plain = number.replace(",", "")
    kept = plain.replace(".", "").lstrip("0")
    return len(kept if "." in plain else kept.rstrip("0"))


def glued(app: Sphinx) -> dict[str, str]:
    """The texts of all numbers that the cells of the current page glued."""
    env = app.env
    page = NbMetadataCollector.get_doc_data(env).get(env.docname, {})
    if not page.get("glue"):
        return {}
    data = read_glue_cache(env.mystnb_config.output_folder, env.docname)
    texts = {key: data[key]["data"].get("text/plain") for key in data}
    return {key: text for key, text in texts.items() if text}


def sentence(number: re.Match[str]) -> str:
    """What stands around a number, from full stop to full stop."""
    before = re.split(r"[.?:] ", number.string[: number.start()])[-1]
    return before + re.split(r"[.?:] ", number.string[number.end() :])[0]


class Glued:
    """The numbers of a page that code made, shown or not."""

    def __init__(self, source: str, texts: dict[str, str]) -> None:
        self.shown: dict[tuple[Decimal, bool], str] = {}
        self.unused = dict(texts)
        for role in SHOWN.findall(source):
            key, _, form = role.rpartition(":")
            key, form = (key, form) if key in texts else (role, "s")
            if key in texts:
                self.unused.pop(key, None)
                text = format_plain_text(texts[key], form)
                if number := NUMBER.fullmatch(text.lstrip("-−")):
                    self.shown.setdefault(value(number), role)

    def repeats(self, number: re.Match[str]) -> str | None:
        """The role that could show this number, or does elsewhere."""
        said, percent = value(number)
        alone = percent and CITATION not in sentence(number)
        year = YEAR.fullmatch(number[1]) and not percent
        if year or not (digits(number[1]) >= 3 or alone):
            return None
        places = -said.as_tuple().exponent
        for key, text in self.unused.items():
            try:
                exact = abs(Decimal(text)) * (100 if percent else 1)
                same = round(exact, places) == said
            except InvalidOperation:  # no number, or nan
                continue
            if same:
                return f"{key}:.{places}{'%' if percent else 'f'}"
        return self.shown.get((said, percent))


def words(node: nodes.Element) -> str:
    """The prose of a paragraph, one sign in place of all that is not."""
    said = []
    for child in node.children:
        if isinstance(child, nodes.Text):
            said.append(str(child))
        elif child.get("refdomain") == "cite":
            said.append(CITATION)
        elif (
            isinstance(child, NOT_PROSE) or "pasted-text" in child["classes"]
        ):
            said.append(ELSE)
        else:
            said.append(words(child))
    return "".join(said)


def typed(doctree: nodes.document) -> Iterator[tuple[int, re.Match[str]]]:
    """The numbers in a page's sentences and captions, with their lines."""
    for kind in (nodes.paragraph, nodes.caption):
        for node in doctree.findall(kind):
            text = words(node)
            for number in NUMBER.finditer(text):
                before = text.count("\n", 0, number.start())
                yield (node.line or node.parent.line or 0) + before, number


def check(app: Sphinx, doctree: nodes.document) -> None:
    if not (texts := glued(app)):
        return
    page = app.env.doc2path(app.env.docname)
    numbers = Glued(Path(page).read_text(encoding="utf-8"), texts)
    for line, number in typed(doctree):
        if role := numbers.repeats(number):
            logger.warning(
                "%s is typed, but a cell computes it: write {glue:text}`%s`;"
                " if it is another number, write it as a formula, $%s$",
                number[0],
                role,
                number[1],
                location=f"{page}:{line}",
                type="number",
            )


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-read", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
