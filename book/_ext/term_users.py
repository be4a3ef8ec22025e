"""The pages that use a term, shown in its entry; and terms that are unknown.

Which page defines and which page uses a term is noted when pages are read.
An entry gets the links when it is written, and a page is written again when
what it shows of a term changes: the users of an entry, the home of a link.
"""

from difflib import get_close_matches
from typing import ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata
from sphinxcontrib.bibtex.domain import get_docnames

logger = logging.getLogger(__name__)


class users(nodes.General, nodes.Element):
    """Stands for the pages that use a term."""


def fact(
    name: str, label: str, about: list[nodes.Node], first: bool = False
) -> list[nodes.Node]:
    """One of the facts, to be added to those before it."""
    label = f"{label} ".replace(" ", "\N{NO-BREAK SPACE}")
    between = [] if first else [nodes.Text("\N{NO-BREAK SPACE}· ")]
    body = nodes.inline("", "", *about, classes=[nodes.make_id(name)])
    return [*between, nodes.emphasis("", label), body]


class Terms(Domain):
    """Which page defines, and which page uses, which terms."""

    name = "terms"
    label = "glossaries"
    initial_data: ClassVar = {"defined": {}, "used": {}, "shown": {}}

    def clear_doc(self, docname: str) -> None:
        for pages in (self.data["defined"], self.data["used"]):
            pages.pop(docname, None)

    def merge_domaindata(self, docnames: set[str], other: dict) -> None:
        for kind in ("defined", "used"):
            for page in docnames & other[kind].keys():
                self.data[kind][page] = other[kind][page]

    def process_doc(
        self, env: BuildEnvironment, docname: str, document: nodes.document
    ) -> None:
        defined = [
            (term.astext(), term.line)
            for glossary in document.findall(addnodes.glossary)
            for term in glossary.findall(nodes.term)
        ]
        used = {
            " ".join(xref["reftarget"].lower().split())
            for xref in document.findall(addnodes.pending_xref)
            if xref["reftype"] == "term"
        }
        for kind, found in (("defined", defined), ("used", used)):
            if found:
                self.data[kind][docname] = found

    def check_consistency(self) -> None:
        """Twice the same term; pages are read in processes of their own."""
        seen: dict[str, str] = {}
        for page, entries in sorted(self.data["defined"].items()):
            for term, line in entries:
                place = f"{self.env.doc2path(page)}:{line}"
                first = seen.setdefault(term.lower(), place)
                if first != place:
                    message = "%s: stands in %s too; keep one of the entries"
                    logger.warning(message, term, first, location=place)

    def pages_using(self, term: str) -> list[str]:
        """The pages that use a term in their text, in reading order."""
        used, glossaries = self.data["used"], self.data["defined"]
        pages = [page for page in used if term.lower() in used[page]]
        order = {page: i for i, page in enumerate(get_docnames(self.env))}
        return sorted({*pages} - glossaries.keys(), key=order.__getitem__)


class ShowUsers(SphinxPostTransform):
    default_priority = 4  # before references are resolved

    def run(self, **options: object) -> None:
        builder, here = self.app.builder, self.env.current_document.docname
        domain, titles = self.env.get_domain("terms"), self.env.titles
        for node in list(self.document.findall(users)):
            links: list[nodes.Node] = []
            for page in domain.pages_using(node["term"]):
                if f"/{page}" not in node["origins"]:
                    links += [nodes.Text(", ")] if links else []
                    title = nodes.Text(titles[page].astext())
                    links += [make_refnode(builder, here, page, "", title)]
            first = len(node.parent) == 1
            if links:
                node.replace_self(fact("used", "Used in", links, first))
            else:
                empty = node.parent.parent if first else node
                empty.parent.remove(empty)


def pages_to_rewrite(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The pages where a term has other users or another home than before."""
    domain = env.get_domain("terms")
    shown: dict[str, list] = {page: [] for page in env.found_docs}
    homes = {}
    for page, entries in domain.data["defined"].items():
        for term, _ in entries:
            homes[term.lower()] = page
            pages = domain.pages_using(term)
            titles = [(p, env.titles[p].astext()) for p in pages]
            shown[page].append((term, titles))
    for page, used in domain.data["used"].items():
        shown[page].append({term: homes.get(term) for term in used})
    before, domain.data["shown"] = domain.data["shown"], shown
    return [page for page in shown if shown[page] != before.get(page, [])]


def name_nearest(
    app: Sphinx, domain: Domain | None, node: addnodes.pending_xref
) -> bool | None:
    """Warn of an unknown term, in the place of Sphinx."""
    if domain is None or (domain.name, node["reftype"]) != ("std", "term"):
        return None
    known = {
        name.lower(): name for kind, name in domain.objects if kind == "term"
    }
    near = get_close_matches(node["reftarget"].lower(), known, 3, cutoff=0)
    names = ", ".join(known[name] for name in near)
    message = "no glossary has the term %r; its nearest: %s"
    logger.warning(message, node["reftarget"], names, location=node)
    return True


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_domain(Terms)
    app.add_post_transform(ShowUsers)
    app.connect("env-get-updated", pages_to_rewrite)
    app.connect("warn-missing-reference", name_nearest)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
