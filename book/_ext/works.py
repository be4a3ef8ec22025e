"""How the works in references.bib read, in a list and in the text.

`WorkStyle` makes the one label that a work has, such as "Dao and Gu, 2024",
or "Arora et al., 2024b" where two would be alike; `CiteStyle` puts it into
the text.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from docutils import nodes
from pybtex.database import Entry, Person
from pybtex.richtext import HRef, Tag, Text
from pybtex.style import FormattedEntry
from pybtex.style.formatting import BaseStyle
from pybtex.style.template import Node
from sphinx.util.nodes import make_refnode
from sphinxcontrib.bibtex.style.referencing import BaseReferenceStyle
from sphinxcontrib.bibtex.style.template import SphinxReferenceText, join

VENUES = ("booktitle", "journal", "howpublished")
# Letters that Unicode does not take for a letter and an accent
LETTERS = str.maketrans(
    {"æ": "ae", "đ": "d", "ı": "i", "ł": "l", "ø": "o", "œ": "oe"}
)


def fold(text: str) -> str:
    """Fold case and accents away."""
    text = unicodedata.normalize("NFKD", text.casefold().translate(LETTERS))
    return "".join(c for c in text if not unicodedata.combining(c))


def last_name(person: Person) -> str:
    parts = person.rich_prelast_names + person.rich_last_names
    return " ".join(map(str, parts))


def full_name(person: Person) -> str:
    parts = person.rich_first_names + person.rich_middle_names
    return " ".join([*map(str, parts), last_name(person)])


def short_authors(work: Entry) -> str:
    first, *rest = map(last_name, work.persons["author"])
    if len(rest) > 1 or rest == ["others"]:
        return f"{first} et al."
    return " and ".join([first, *rest])


def all_authors(work: Entry) -> str:
    """The authors as a sentence."""
    *names, last = map(full_name, work.persons["author"])
    if last == "others":
        return f"{', '.join(names)} et al."
    if not names:
        return f"{last}."
    return f"{', '.join(names)}{',' * (len(names) > 1)} and {last}."


def link(work: Entry) -> HRef:
    """Where to read the work: at arXiv if it is there."""
    fields = work.fields
    if arxiv := fields.get("eprint"):
        return HRef(f"https://arxiv.org/abs/{arxiv}", f"arXiv:{arxiv}")
    if doi := fields.get("doi"):
        return HRef(f"https://doi.org/{doi}", f"doi:{doi}")
    return HRef(fields["url"], urlsplit(fields["url"]).netloc)


class WorkStyle(BaseStyle):
    def __init__(self, **options: object) -> None:
        """Look up no plug-ins for names, labels and sorting: see below."""

    def sort(self, works: Iterable[Entry]) -> list[Entry]:
        """Order as the labels read; accents and case don't count."""

        def position(work: Entry) -> tuple[str, str, str]:
            fields = work.fields
            return fold(short_authors(work)), fields["year"], fields["title"]

        return sorted(works, key=position)

    def format_labels(self, works: Iterable[Entry]) -> Iterator[str]:
        labels = [f"{short_authors(w)}, {w.fields['year']}" for w in works]
        count, seen = Counter(labels), Counter[str]()
        for label in labels:
            letter = chr(ord("a") + seen[label]) if count[label] > 1 else ""
            seen[label] += 1
            yield label + letter

    def format_entry(
        self, label: str, work: Entry, bib_data: object = None
    ) -> FormattedEntry:
        rich = {name: Text.from_latex(s) for name, s in work.fields.items()}
        where = [rich[name] for name in VENUES if name in rich][:1]
        where_and_when = Text(", ").join([*where, rich["year"]])
        title = Tag("em", rich["title"].add_period())
        text = Text(title, " ", where_and_when, ". ", link(work))
        return FormattedEntry(work.key, text, label)


class LinkToWork(SphinxReferenceText):
    """A link to the work in the bibliography, the same in every format."""

    def render(self, backend: object) -> list[nodes.reference]:
        to, text = self.info[0], nodes.Text(str(self))
        pages = to.fromdocname, to.todocname
        return [make_refnode(to.builder, *pages, to.citation_id, text)]


def cite(children: object, data: dict, role: str) -> Text:
    """`{cite:t}` reads Dao and Gu (2024), `{cite:p}` (Dao and Gu, 2024)."""
    info = data["reference_info"]
    authors, _, year = data["formatted_entry"].label.rpartition(", ")
    when = ", ".join(filter(None, [year, info.post_text]))
    text = f"{authors} ({when})" if role == "t" else f"{authors}, {when}"
    before = f"{info.pre_text} " if info.pre_text else ""
    return Text(before, LinkToWork(info, text))


class CiteStyle(BaseReferenceStyle):
    def inner(self, role_name: str) -> Node:
        return Node("cite", cite)(role=role_name)

    def outer(self, role_name: str, children: list[Text]) -> Node:
        if role_name == "t":
            return join(sep=", ", sep2=" and ", last_sep=", and ")[children]
        return join["(", join(sep="; ")[children], ")"]
