"""A small card beside a link shows what stands at its other end.

Terms, works and recaps (sections labeled `recap-...`) have cards. A page
carries the cards of its links, each once, in `<template>` elements at its
end: they need no request and work from a file, and what a template holds is
not shown, printed, read aloud, searched or copied, and its marks can't clash
with the page's. hover_cards.js shows them; without it, links are just links.

A page is written again when one of its cards reads otherwise: which cards it
has, and of what digest, stands in the page itself.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from html import escape, unescape
from pathlib import Path
from urllib.parse import urljoin

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import suppress_logging
from sphinx.util.osutil import relative_uri
from sphinx.util.typing import ExtensionMetadata

BUILDERS = ("html", "dirhtml")
TEMPLATE = '<template class="hover-card" data-for="{}" data-digest="{}">'
EMBEDDED = re.compile(TEMPLATE.format('([^"]*)', '([^"]*)'))


def places(env: BuildEnvironment) -> dict[tuple[str, str], str]:
    """Where there is something to show, by page and id, and its kind."""
    std, cite = env.domains.standard_domain, env.domains.get("cite")
    found = {}
    for (kind, _), place in std.objects.items():
        if kind == "term":
            found[place] = "term"
    for label, place in std.anonlabels.items():
        if label.startswith("recap-"):
            found[place] = "recap"
    for work in cite.citations if cite else []:
        found[work.bibliography_key.docname, work.citation_id] = "work"
    return found


def own_text(entry: nodes.Element) -> list[nodes.Node]:
    """What it says itself: blocks of facts about it have a class."""
    apart = nodes.title, nodes.section, nodes.field_list, nodes.target
    facts = nodes.paragraph, nodes.container
    return [
        part
        for part in entry
        if not isinstance(part, apart)
        and not (isinstance(part, facts) and part["classes"])
    ]


def line(name: str, *parts: nodes.Node) -> nodes.paragraph:
    return nodes.paragraph("", "", *parts, classes=[f"hover-card-{name}"])


def shown(kind: str, node: nodes.Element) -> Iterator[nodes.Node]:
    """What the card has of a section, or of a term and its definition."""
    if kind == "recap":
        yield line("title", *node.next_node(nodes.title))
        yield from own_text(node)
        return
    rest = node.parent[node.parent.index(node) :]  # perhaps more terms
    definition = next(x for x in rest if isinstance(x, nodes.definition))
    if kind == "work":
        yield from own_text(definition)[:1]
        yield line("facts", nodes.literal("", node["ids"][0]))
        return
    yield line("title", *node)
    yield from own_text(definition)
    for names in definition.findall(nodes.inline):
        if "papers-write" in names["classes"]:
            yield line("facts", nodes.emphasis("", "Papers write "), *names)


def new_card(uri: str, title: str, parts: list[nodes.Node]) -> nodes.Element:
    """These parts of a page, with links that start at the book's root."""
    card = nodes.Element("", *(part.deepcopy() for part in parts))
    for node in card.findall(nodes.Element):
        node["ids"], node["names"] = [], []
        if isinstance(node, nodes.math_block):
            node["number"] = None
        if isinstance(node, nodes.reference):
            to = f"#{node.attributes.pop('refid')}" if "refid" in node else ""
            node["refuri"] = urljoin(uri, to or node["refuri"])
    text = f"Open in “{title}”"
    card += line("open", nodes.reference("", text, refuri=uri, internal=True))
    card["digest"] = hashlib.sha256(card.pformat().encode()).hexdigest()[:8]
    return card


@cache
def cards(app: Sphinx) -> dict[str, nodes.Element]:
    """Every card of the book, by the address of what it shows."""
    env, made, kinds = app.env, {}, places(app.env)
    for page in sorted({page for page, _ in kinds}):
        tree = env.get_doctree(page)
        with suppress_logging():  # faults are told when a page is written
            env.resolve_references(tree, page, app.builder)
        title = env.titles[page].astext()
        for node in tree.findall(nodes.Element):
            for name in node["ids"]:
                if kind := kinds.get((page, name)):
                    uri = f"{app.builder.get_target_uri(page)}#{name}"
                    parts = list(shown(kind, node))
                    made[uri] = new_card(uri, title, parts)
    return made


def relative(here: str, uri: str) -> str:
    page, mark, fragment = uri.partition("#")
    return relative_uri(here, page) + mark + fragment or "#"


def add_cards(
    app: Sphinx, page: str, template: str, context: dict, tree: nodes.document
) -> None:
    if app.builder.name not in BUILDERS or not tree:
        return
    here, book = app.builder.get_target_uri(page), cards(app)
    links = dict.fromkeys(
        urljoin(here, link.get("refuri") or f"#{link.get('refid', '')}")
        for link in tree.findall(nodes.reference)
    )
    for uri in filter(book.__contains__, links):
        card = book[uri].deepcopy()
        for link in card.findall(nodes.reference):
            if not re.match(r"\w+:", link["refuri"]):
                link["refuri"] = relative(here, link["refuri"])
        with suppress_logging():
            parts = map(app.builder.render_partial, card.children)
            text = "".join(part["fragment"] for part in parts)
        href = escape(relative(here, uri))
        tag = TEMPLATE.format(href, card["digest"])
        context["body"] += f"{tag}{text}</template>\n"
    if EMBEDDED.search(context["body"]):
        app.add_css_file("hover_cards.css")
        app.add_js_file("hover_cards.js", loading_method="defer")


def pages_to_rewrite(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The pages with a card that reads otherwise than it would now."""
    if app.builder.name not in BUILDERS:
        return []
    now = {(uri, card["digest"]) for uri, card in cards(app).items()}
    pages = []
    for page in sorted(env.found_docs):
        here = app.builder.get_target_uri(page)
        file = Path(app.builder.get_outfilename(page))
        text = file.read_text("utf-8") if file.is_file() else ""
        carried = {
            (urljoin(here, unescape(href)), digest)
            for href, digest in EMBEDDED.findall(text)
        }
        if carried - now:
            pages.append(page)
    return pages


def setup(app: Sphinx) -> ExtensionMetadata:
    # before build_time_math looks for formulas on the page
    app.connect("html-page-context", add_cards)
    # after Sphinx has numbered the chapters
    app.connect("env-get-updated", pages_to_rewrite, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
