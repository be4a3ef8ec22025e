"""Formulas that MyST and KaTeX take without a word, and show wrongly."""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

MATH_IN_PAGE_TITLE = (
    "a page's title stands in browser tabs and search results too, which "
    "show no formulas: say it in words"
)
RANDOM_LABEL = (
    "a numbered amsmath environment gets a random label: write "
    "$$ ... $$ (label), or the starred environment"
)
NO_SUCH_LETTER = r"\mathbb has capitals only: \mathbf{1} is the indicator"
STRAY_DOLLAR = "a stray $: put a blank line before and after $$ ... $$"
ODD_BLACKBOARD = re.compile(r"\\mathbb\s*\{?\s*[^\sA-Z{\\]")

logger = logging.getLogger(__name__)


def complaints(doctree: nodes.document) -> Iterator[tuple[nodes.Node, str]]:
    title = doctree.next_node(nodes.title)
    if title and title.next_node(nodes.math):
        yield title, MATH_IN_PAGE_TITLE
    for kind in (nodes.math, nodes.math_block):
        for formula in doctree.findall(kind):
            if formula.get("nowrap") and formula.get("number"):
                yield formula, RANDOM_LABEL
            if ODD_BLACKBOARD.search(formula.astext()):
                yield formula, NO_SUCH_LETTER
            before = formula.previous_sibling()
            if isinstance(before, nodes.Text) and before.endswith("$"):
                yield formula, STRAY_DOLLAR
    for paragraph in doctree.findall(nodes.paragraph):
        if any(isinstance(c, nodes.Text) and "$$" in c for c in paragraph):
            yield paragraph, STRAY_DOLLAR


def check(app: Sphinx, doctree: nodes.document) -> None:
    for node, complaint in complaints(doctree):
        logger.warning(complaint, location=node, type="math")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-read", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
