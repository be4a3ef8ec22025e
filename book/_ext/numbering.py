"""Lessons are chapters 1 to 21 through the whole book, in HTML as in print.

Every module's page has a numbered toctree of its lessons, and Sphinx starts
each numbered toctree at 1. LaTeX does not. Here the chapter number that Sphinx
gave a lesson is replaced by the lesson's place in the book; section, figure and
equation numbers follow from it.
"""

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.util.typing import ExtensionMetadata

number_each_toctree = TocTreeCollector.assign_section_numbers


def reading_order(env: BuildEnvironment, docname: str) -> Iterator[str]:
    """The pages below `docname`, in the order of the table of contents."""
    yield docname
    for child in env.toctree_includes.get(docname, ()):
        yield from reading_order(env, child)


def lessons(env: BuildEnvironment) -> list[str]:
    """The numbered pages; a lesson's chapter is its place here, from 1."""
    pages = reading_order(env, env.config.root_doc)
    return [page for page in pages if page in env.toc_secnumbers]


def set_chapter(env: BuildEnvironment, docname: str, chapter: int) -> None:
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
    for chapter, docname in enumerate(lessons(env), 1):
        set_chapter(env, docname, chapter)
    after = env.toc_secnumbers
    return [doc for doc in after if after[doc] != before.get(doc)]


def setup(app: Sphinx) -> ExtensionMetadata:
    TocTreeCollector.assign_section_numbers = number_through
    return {"parallel_read_safe": True, "parallel_write_safe": True}
