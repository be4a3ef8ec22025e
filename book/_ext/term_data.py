"""The terms of the book as data, beside the pages: a site's two files.

`glossary.json` is for programs; `glossary.tsv` is for flash cards, with the
header lines that Anki reads when it imports a text file. A card is known by
an identifier made of its term, so that importing the file of a later edition
changes the cards that are there and keeps what was learned with them.

Definitions come without links, and their formulas as TeX between `\\(` and
`\\)`, which Anki and MathJax set.
"""

import csv
import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

Entry = dict[str, object]


def publish(app: Sphinx, error: Exception | None) -> None:
    """Write both files, if the build made a site and has no fault."""
    if error or app.builder.name != "html" or app._warncount:
        return
    pages = sorted(app.env.get_domain("terms").data["defined"])
    entries = [entry for page in pages for entry in entries_of(app, page)]
    entries.sort(key=lambda entry: str(entry["term"]).casefold())
    title = app.config.html_title
    about = {"book": title, "version": app.config.version, "terms": entries}
    text = json.dumps(about, ensure_ascii=False, indent=1) + "\n"
    out = Path(app.outdir)
    (out / "glossary.json").write_text(text, encoding="utf-8")
    (out / "glossary.tsv").write_text(cards(title, entries), encoding="utf-8")


def entries_of(app: Sphinx, page: str) -> Iterator[Entry]:
    builder, env = app.builder, app.env
    here = builder.get_target_uri(page)
    domain = env.get_domain("terms")
    doctree = env.get_and_resolve_doctree(page, builder, tags=app.tags)
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            term, definition = item[0].astext(), item[-1]
            facts = {
                fact["classes"][0]: fact for fact in facts_of(definition)
            }
            origins = facts.get("from", nodes.inline())
            write = facts.get("papers-write", nodes.inline())
            paragraphs = [plain(node) for node in definition[:-1]]
            parts = [builder.render_partial(node) for node in paragraphs]
            yield {
                "term": term,
                "kind": item["kind"],
                "link": f"{here}#{item[0]['ids'][0]}",
                "definition": " ".join(node.astext() for node in paragraphs),
                "html": "".join(part["fragment"].strip() for part in parts),
                "papers_write": plain(write).astext(),
                "introduced": [
                    {
                        "title": link.astext(),
                        "link": link.get("refuri") or here + "#" + link["refid"],
                    }
                    for link in origins.findall(nodes.reference)
                ],
                "papers": item["papers"],
                "related": item["related"],
                "used": [
                    {
                        "title": env.titles[user].astext(),
                        "link": builder.get_target_uri(user),
                    }
                    for user in domain.pages_using(term)
                ],
            }


def facts_of(definition: nodes.definition) -> list[nodes.inline]:
    line = definition[-1][0]
    return [node for node in line if isinstance(node, nodes.inline)]


def plain(node: nodes.Element) -> nodes.Element:
    """A copy without links, and with formulas as text."""
    copy = node.deepcopy()
    for math in list(copy.findall(nodes.math)):
        math.replace_self(nodes.Text(rf"\({math.astext()}\)"))
    for link in list(copy.findall(nodes.reference)):
        link.replace_self(nodes.Text(link.astext()))
    return copy


def cards(deck: str, entries: list[Entry]) -> str:
    columns = ["GUID", "Front", "Back", "Tags"]
    header = ["separator:tab", "html:true", f"deck:{deck}", "notetype:Basic"]
    header += ["columns:" + "\t".join(columns)]
    header += ["guid column:1", "tags column:4"]
    text = io.StringIO()
    text.writelines(f"#{line}\n" for line in header)
    rows = csv.writer(text, "excel-tab", lineterminator="\n")
    for entry in entries:
        name = f"{deck}/{entry['term']}".casefold()
        guid = uuid.uuid5(uuid.NAMESPACE_URL, name)
        tag = str(entry["kind"]).replace(" ", "-")
        rows.writerow([guid, entry["term"], entry["html"], tag])
    return text.getvalue()


def setup(app: Sphinx) -> ExtensionMetadata:
    app.setup_extension("terms")
    app.connect("build-finished", publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
