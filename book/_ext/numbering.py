"""Lessons are chapters 1 to 21 through the whole book, in HTML as in print.

Every module's page has a numbered toctree of its lessons, and Sphinx starts
each numbered toctree at 1. A lesson's number is fixed by the plan of the
book and stands in its front matter, so that it stays the same while lessons
before it are still to be written. It replaces Sphinx's here; the numbers of
sections, figures and equations follow from it, and `printed` hands it to
LaTeX.
"""

from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

from lesson import front_matter

logger = logging.getLogger(__name__)
number_each_toctree = TocTreeCollector.assign_section_numbers


def reading_order(env: BuildEnvironment, docname: str) -> Iterator[str]:
    """The pages from `docname` on, in the order of the table of contents."""
    yield docname
    for child in env.toctree_includes.get(docname, ()):
        yield from reading_order(env, child)


def chapters(env: BuildEnvironment) -> dict[str, int]:
    """The numbered pages in reading order, with the number each declares."""
    numbers: dict[str, int] = {}
    for page in reading_order(env, env.config.root_doc):
        if page not in env.toc_secnumbers:
            continue
        front = front_matter(Path(env.doc2path(page)))
        number = front.get("lesson", {}).get("number", 0)
        if number <= max(numbers.values(), default=0):
            logger.warning(
                "a lesson needs a number above those before it, in its front"
                " matter: `lesson: {number: 17, ...}`; this one has %d",
                number,
                location=(page, 1),
                type="numbering",
            )
        numbers[page] = number
    return numbers


def set_chapter(env: BuildEnvironment, docname: str, chapter: int) -> None:
    """Replace the first part of every number that Sphinx gave this page."""

    def renumber(number):
        return type(number)([chapter, *number[1:]]) if number else number

    env.toc_secnumbers[docname] = {
        anchor: renumber(number)
        for anchor, number in env.toc_secnumbers[docname].items()
    }
    references = env.tocs[docname].findall(nodes.reference)
    for node in [env.titles[docname], *references]:
        node["secnumber"] = renumber(node.get("secnumber"))


def number_through(
    collector: TocTreeCollector, env: BuildEnvironment
) -> list[str]:
    """Number sections; return the pages whose numbers changed."""
    before = env.toc_secnumbers
    number_each_toctree(collector, env)
    for docname, chapter in chapters(env).items():
        set_chapter(env, docname, chapter)
    after = env.toc_secnumbers
    return [doc for doc in after if after[doc] != before.get(doc)]


def setup(app: Sphinx) -> ExtensionMetadata:
    TocTreeCollector.assign_section_numbers = number_through
    return {"parallel_read_safe": True, "parallel_write_safe": True}
