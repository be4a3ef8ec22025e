"""An entry of a glossary: the definition, then a quiet line of facts.

    KV cache
      The keys and values of all earlier tokens, kept so that ...

      :papers write: $K, V$; key-value cache
      :from: {ref}`recap-attention-weights`
      :paper: {cite:t}`shazeer2019fast`
      :see: {term}`state`

`from` is where the term is introduced, `paper` where it comes from; a term
has one of them at least. A glossary of another `:kind:`, such as words that
papers use, needs neither. The pages that use a term join the facts by
themselves (see `term_users`).
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains import std as standard
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata
from sphinxcontrib.bibtex.citation_target import parse_citation_targets

from term_users import fact, users

logger = logging.getLogger(__name__)

WORDS = 60  # of a definition; a hover card holds as many
FACTS = {  # in the order in which they are shown
    "papers write": "Papers write",
    "from": "Introduced in",
    "paper": "Paper",
    "see": "See also",
}


class Glossary(standard.Glossary):
    option_spec: ClassVar = {
        **standard.Glossary.option_spec,
        "kind": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        known = self.env.domains.standard_domain.objects
        for line in self.content:
            # or Sphinx warns too, of the duplicates that one process reads
            known.pop(("term", line), None)
        # MyST counts lines from the start of the content
        content = self.content
        content.items = [
            (source, line + self.content_offset)
            for source, line in content.items
        ]
        found = super().run()
        for item in found[-1].findall(nodes.definition_list_item):
            item[0].line += self.lineno + 1
            arrange(item, self.options.get("kind", "term"))
        return found


def arrange(item: nodes.definition_list_item, kind: str) -> None:
    """Check an entry, and turn its fields into a line."""
    term, definition = item[0], item[-1]
    fields = {}
    for field_list in definition.findall(nodes.field_list):
        fields |= {name.astext(): body for name, body in field_list}
    definition[:] = [x for x in definition if x.tagname != "field_list"]
    fault = next(
        faults(term.astext(), definition.astext(), fields, kind), None
    )
    if fault:
        logger.warning("%s: %s", term.astext(), fault, location=term)

    item["kind"] = kind
    item["papers"] = [
        to.key
        for node in targets(fields, "paper", "cite")
        for to in parse_citation_targets(node)
    ]
    item["related"] = targets(fields, "see", "std")
    item["from"] = targets(fields, "from", "std")
    line = nodes.paragraph()
    for name, label in FACTS.items():
        for paragraph in fields.get(name, [])[:1]:
            line += fact(name, label, paragraph.children, first=not len(line))
    line += users("", term=term.astext(), origins=item["from"])
    definition += nodes.container("", line, classes=["term-facts"])


def targets(fields: dict, name: str, domain: str) -> list[str]:
    """What the references of a field point to."""
    body = fields.get(name, nodes.field_body())
    found = body.findall(addnodes.pending_xref)
    return [x["reftarget"] for x in found if x["refdomain"] == domain]


def faults(
    term: str, definition: str, fields: dict, kind: str
) -> Iterator[str]:
    words = len(definition.split())
    if words > WORDS:
        yield f"its definition has {words} words; make it {WORDS} at most"
    if not words:
        yield "its definition is missing; it stands before the fields"
    for name in [name for name in fields if name not in FACTS]:
        near = get_close_matches(name, FACTS, 1, cutoff=0)
        yield f"there is no field {name!r}; perhaps `:{near[0]}:`"
    if kind == "term" and not fields.keys() & {"from", "paper"}:
        yield (
            "an entry says where its term comes from; add `:from:` with a"
            " {ref} or {doc}, or `:paper:` with a {cite:t}"
        )
    if term.lower() in map(str.lower, targets(fields, "see", "std")):
        yield "it refers to itself; take it out of `:see:`"


def setup(app: Sphinx) -> ExtensionMetadata:
    app.setup_extension("citations")
    app.setup_extension("term_users")
    app.add_directive_to_domain("std", "glossary", Glossary, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
