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
from collections import defaultdict
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
    doctree = app.env.get_and_resolve_doctree(
        page, app.builder, tags=app.tags
    )
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            yield entry(app, page, item)


def entry(app: Sphinx, page: str, item: nodes.definition_list_item) -> Entry:
    uri, titles = app.builder.get_target_uri, app.env.titles
    term, name = item[0], item[0].astext()
    facts = facts_of(item[-1])
    about = [plain(x) for x in item[-1] if x.tagname != "container"]
    html = [app.builder.render_partial(node)["fragment"] for node in about]
    return {
        "term": name,
        "kind": item["kind"],
        "link": f"{uri(page)}#{term['ids'][0]}",
        "definition": " ".join(node.astext() for node in about),
        "html": "".join(html).replace("\n", ""),
        "papers_write": plain(facts["papers-write"]).astext(),
        "introduced": [
            {"title": link.astext(), "link": link["refuri"]}
            for link in facts["from"].findall(nodes.reference)
        ],
        "papers": item["papers"],
        "related": item["related"],
        "used": [
            {"title": titles[user].astext(), "link": uri(user)}
            for user in app.env.get_domain("terms").pages_using(name)
        ],
    }


def facts_of(definition: nodes.definition) -> dict[str, nodes.Element]:
    facts: dict[str, nodes.Element] = defaultdict(nodes.inline)
    for line in definition.findall(nodes.container):
        for part in line.findall(nodes.inline):
            facts |= dict.fromkeys(part["classes"], part)
    return facts


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
