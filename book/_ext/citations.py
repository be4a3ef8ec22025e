"""Citations read "Dao and Gu (2024)", in the text as in every list of works.

The two get their labels from one function, so they cannot differ. A work has
its full entry on the page with the `bibliography` directive; the directive
`lesson-references` lists what its own page cites. Lists are made when a page
is written, and a page is written again when what it shows of a work changes,
be it in references.bib or through a citation on another page.
"""

from pathlib import Path
from typing import ClassVar

from docutils import nodes
from pybtex.plugin import register_plugin
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata
from sphinxcontrib.bibtex import plugin
from sphinxcontrib.bibtex.citation_target import parse_citation_targets
from sphinxcontrib.bibtex.domain import BibtexDomain, Citation, get_docnames
from sphinxcontrib.bibtex.nodes import bibliography

from honest_build import stop
from references import faults, unknown_key
from works import CiteStyle, WorkStyle, all_authors

logger = logging.getLogger(__name__)


def check_bibfiles(app: Sphinx) -> None:
    for name in app.config.bibtex_bibfiles:
        path = Path(app.confdir, name).resolve()
        for line, fault in faults(path.read_text(encoding="utf-8")):
            stop(path, line, fault)


class CiteDomain(BibtexDomain):
    # the other roles print what `CiteStyle` has no words for
    roles: ClassVar = {role: BibtexDomain.roles[role] for role in ("p", "t")}

    def uses(self) -> set[tuple[str, str]]:
        """Which page cites which work, as (page, key)."""
        refs = self.citation_refs
        return {(ref.docname, to.key) for ref in refs for to in ref.targets}

    def cited_on(self, page: str) -> list[Citation]:
        uses = self.uses()
        return [work for work in self.citations if (page, work.key) in uses]

    def pages_citing(self) -> dict[str, list[str]]:
        """The pages that cite a work, by its key, in reading order."""
        pages: dict[str, list[str]] = {}
        place = {page: i for i, page in enumerate(get_docnames(self.env))}
        for page, key in sorted(self.uses(), key=lambda use: place[use[0]]):
            pages.setdefault(key, []).append(page)
        return pages


class UnknownKeys(SphinxPostTransform):
    """Name the likely keys for one that doesn't exist."""

    default_priority = 4

    def run(self, **options: object) -> None:
        known = list(self.env.get_domain("cite").bibdata.data.entries)
        for node in list(self.document.findall(pending_xref)):
            if node.get("refdomain") != "cite":
                continue
            cited = parse_citation_targets(node["reftarget"])
            unknown = [to.key for to in cited if to.key not in known]
            for key in unknown:
                logger.warning(unknown_key(key, known), location=node)
            if unknown:
                node.replace_self(node.children)


class lesson_references(nodes.General, nodes.Element):
    """Stands for the list of works that its page cites."""


class LessonReferences(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [lesson_references(docname=self.env.docname)]


class ListWorks(SphinxPostTransform):
    """Put the lists where their directives stand.

    sphinxcontrib-bibtex, whose turn comes next, would put citation nodes: in
    HTML boxes, in LaTeX a chapter of its own at the very end of the book.
    """

    default_priority = 4

    def run(self, **options: object) -> None:
        domain = self.env.get_domain("cite")
        for node in list(self.document.findall(bibliography)):
            citing = domain.pages_citing()
            items = [self.in_full(w, citing[w.key]) for w in domain.citations]
            works = nodes.definition_list("", *items)
            node.replace_self(works if items else [])
        for node in list(self.document.findall(lesson_references)):
            page = node["docname"]
            items = [self.in_short(w, page) for w in domain.cited_on(page)]
            node.replace_self(nodes.bullet_list("", *items) if items else [])

    def link(
        self, page: str, to: str, id_: str, text: str
    ) -> nodes.reference:
        return make_refnode(self.app.builder, page, to, id_, nodes.Text(text))

    def in_short(self, work: Citation, page: str) -> nodes.list_item:
        home, entry = work.bibliography_key.docname, work.formatted_entry
        label = self.link(page, home, work.citation_id, entry.label)
        about = entry.text.render(BibtexDomain.backend)
        text = nodes.paragraph("", "", label, nodes.Text(". "), *about)
        return nodes.list_item("", text)

    def in_full(self, work: Citation, pages: list[str]) -> nodes.Element:
        home, entry = work.bibliography_key.docname, work.formatted_entry
        label = nodes.term("", entry.label, ids=[work.citation_id])
        authors = nodes.Text(all_authors(work.entry) + " ")
        about = entry.text.render(BibtexDomain.backend)
        text = nodes.paragraph("", "", authors, *about)
        key = nodes.literal("", work.key, classes=["key"])  # can be copied
        use = nodes.paragraph("", "", key)
        for page in pages:
            use += nodes.Text("; " if len(use) > 1 else " cited in ")
            use += self.link(home, page, "", heading(self.env, page))
        definition = nodes.definition("", text, use)
        return nodes.definition_list_item("", label, definition)


def heading(env: BuildEnvironment, page: str) -> str:
    """The page's title as it stands there, with the chapter's number."""
    number = env.toc_secnumbers.get(page, {}).get("") or ()
    return ". ".join([*map(str, number), env.titles[page].astext()])


def pages_to_rewrite(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The pages where a work reads otherwise than at the last build."""
    domain = env.get_domain("cite")
    shown: dict[str, list[object]] = {page: [] for page in env.found_docs}
    citing = domain.pages_citing()
    for work in domain.citations:
        entry, pages = work.formatted_entry, citing[work.key]
        about = entry.label, entry.text.render_as("html")
        for page in pages:
            shown[page].append(about)
        headings = [heading(env, page) for page in pages]
        shown[work.bibliography_key.docname].append((about, headings))
    before = domain.data.get("shown", {})
    domain.data["shown"] = shown
    return [page for page in shown if shown[page] != before.get(page, [])]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.setup_extension("sphinxcontrib.bibtex")
    register_plugin("pybtex.style.formatting", "book", WorkStyle)
    group = "sphinxcontrib.bibtex.style.referencing"
    plugin.register_plugin(group, "book", CiteStyle)
    app.add_domain(CiteDomain, override=True)
    app.add_directive("lesson-references", LessonReferences)
    app.add_post_transform(UnknownKeys)
    app.add_post_transform(ListWorks)
    # before sphinxcontrib-bibtex reads the files
    app.connect("builder-inited", check_bibfiles, priority=400)
    # after Sphinx has numbered the chapters
    app.connect("env-get-updated", pages_to_rewrite, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
