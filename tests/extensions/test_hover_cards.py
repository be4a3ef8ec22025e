"""Which cards a page carries, and that they follow what they show."""

import re
from html.parser import HTMLParser

import pytest

INDEX = """# Book

```{toctree}
:maxdepth: 1
part/lesson
part/other
plain
glossary
earlier
bibliography
```
"""
LESSON = r"""# Lesson

The {term}`state`, the {term}`state`, and {ref}`what it was <recap-notes>`
in {cite:t}`dao2024transformers` and {cite:p}`dao2024transformers`.
"""
OTHER = "# Other\n\nA {term}`gate` and the {doc}`glossary </glossary>`.\n"
GLOSSARY = r"""# Glossary

```{glossary}
state
  What is *kept*, of size $N$. See {term}`gate`, {doc}`part/other`,
  {ref}`recap-notes` and <https://example.org/x>.

gate
register
  What lets through.
```
"""
EARLIER = r"""# Earlier series

(recap-notes)=
## Notes

A notebook.

$$
h = f(x)
$$ (eq-notes)

### Aside

Not on the card.

## More

Nor this.
"""
BIB = """
@inproceedings{dao2024transformers,
  author = {Dao, Tri and Gu, Albert},
  title = {Transformers are SSMs},
  year = {2024},
  booktitle = {ICML},
  eprint = {2405.21060},
}
"""
STATE = "../glossary.html#term-state"
GATE = "../glossary.html#term-gate"
NOTES = "../earlier.html#recap-notes"
DAO = "../bibliography.html#dao2024transformers"


class Page(HTMLParser):
    """The ids of a page, what it loads, and what is in its templates."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.texts = [], {}, {}
        self.order, self.within = [], None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        if tag == "template":
            self.within = facts["data-for"]
            self.order.append(self.within)
            self.links[self.within], self.texts[self.within] = [], ""
        elif self.within and tag == "a":
            self.links[self.within].append(facts["href"])
        if "id" in facts:
            self.ids.append((self.within, facts["id"]))

    def handle_endtag(self, tag):
        if tag == "template":
            text = re.sub(r"\s+", " ", self.texts[self.within])
            self.texts[self.within] = text.strip()
            self.within = None

    def handle_data(self, data):
        if self.within:
            self.texts[self.within] += data


@pytest.fixture
def book(tiny):
    tiny.configure(
        "myst_parser",
        "citations",
        "hover_cards",
        myst_enable_extensions=["dollarmath"],
        bibtex_bibfiles=["../references.bib"],
        bibtex_default_style="book",
        bibtex_reference_style="book",
        bibtex_cite_id="{key}",
        bibtex_tooltips=False,
        html_theme="basic",
    )
    for name, text in {
        "../references.bib": BIB,
        "index.md": INDEX,
        "part/lesson.md": LESSON,
        "part/other.md": OTHER,
        "plain.md": "# Plain\n\nSee {doc}`glossary`.\n",
        "glossary.md": GLOSSARY,
        "earlier.md": EARLIER,
        "bibliography.md": "# Works\n\n```{bibliography}\n```\n",
    }.items():
        tiny.write(name, text)
    return tiny


def built(book, *arguments):
    result = book.build(*arguments)
    assert result.code == 0, result.log
    return result


def test_a_page_carries_each_card_of_its_links_once(book):
    result = built(book, "html", "-j", "2")
    page = Page(result.html("part/lesson"))
    assert page.order == [STATE, NOTES, DAO]
    assert page.texts == {
        STATE: r"state What is kept, of size \(N\). See gate, Other, Notes "
        "and https://example.org/x. Open in “Glossary”",
        NOTES: r"Notes A notebook. \[h = f(x)\] Open in “Earlier series”",
        DAO: "Tri Dao and Albert Gu. Transformers are SSMs. ICML, 2024. "
        "arXiv:2405.21060 dao2024transformers Open in “Works”",
    }
    # what a card links to is found from the page that shows it
    there = ["other.html", NOTES, "https://example.org/x"]
    assert page.links == {
        STATE: [GATE, *there, STATE],
        NOTES: [NOTES],
        DAO: ["https://arxiv.org/abs/2405.21060", DAO],
    }
    assert not [name for card, name in page.ids if card]

    # of several names, each has the definition
    other = Page(result.html("part/other"))
    assert other.texts == {GATE: "gate What lets through. Open in “Glossary”"}
    # in their own page, too
    glossary = Page(result.html("glossary"))
    assert glossary.order == ["#term-gate", NOTES.removeprefix("../")]

    for name in ("index", "plain", "earlier", "bibliography"):
        assert "hover" not in result.html(name)
    for file in ("hover_cards.js", "hover_cards.css"):
        assert result.html("part/lesson").count(f"../_static/{file}") == 1

    found = (result.out / "searchindex.js").read_text()
    here = re.search(r'"notebook":(\[.*?\]|\d+)', found)
    assert here[1].isdigit(), "the words of a card count for its page"


FACTS = """
from docutils import nodes

def add_facts(app, tree):
    is_recap = lambda node: "recap-notes" in node.attributes["ids"]
    entries = [x for x in tree.findall(nodes.section) if is_recap(x)]
    for entry in [*tree.findall(nodes.definition), *entries]:
        names = nodes.inline("", "$S$", classes=["papers-write"])
        text = nodes.Text("FACTS ")
        line = nodes.paragraph("", "", text, names)
        entry += nodes.container("", line, classes=["facts"])
        entry += nodes.paragraph("", "FACTS", classes=["facts"])

def setup(app):
    app.connect("doctree-read", add_facts)
"""


def test_facts_about_an_entry_stay_out_but_for_what_papers_write(book):
    conf = (book.source / "conf.py").read_text()
    conf = conf.replace("'dollarmath'", "'dollarmath', 'fieldlist'")
    book.write("conf.py", conf + FACTS)
    book.write(
        "glossary.md",
        GLOSSARY.replace("through.\n", "through.\n\n  :raw: FIELD\n"),
    )
    result = built(book, "html")
    texts = Page(result.html("part/lesson")).texts
    texts |= Page(result.html("part/other")).texts
    assert "x. Papers write $S$" in texts[STATE]
    assert "through. Papers write $S$" in texts[GATE]
    assert "FACTS" in result.html("glossary")
    assert "FACTS" in result.html("earlier")
    assert not re.search("FACTS|FIELD", "".join(texts.values()))


def written(result):
    return set(re.findall(r"writing output\.\.\. .*?\] (\S+)", result.log))


def read(result):
    return set(re.findall(r"reading sources\.\.\. .*?\] (\S+)", result.log))


def test_a_page_is_written_again_when_its_cards_read_otherwise(book):
    built(book, "html", "-j", "2")
    again = built(book, "html", "-v")
    assert not written(again)

    book.write("glossary.md", GLOSSARY.replace("*kept*", "written"))
    edited = built(book, "html", "-v")
    assert read(edited) == {"glossary"}
    assert "What is written" in Page(edited.html("part/lesson")).texts[STATE]
    assert "part/lesson" in written(edited)
    assert not {"part/other", "earlier"} & written(edited)

    book.write("earlier.md", EARLIER.replace("h = f", "h = g"))
    edited = built(book, "html", "-v")
    assert read(edited) == {"earlier"}
    assert "h = g(x)" in Page(edited.html("part/lesson")).texts[NOTES]

    book.write("../references.bib", BIB.replace("Gu, Albert", "Gu, A. B."))
    edited = built(book, "html", "-v")
    assert read(edited) == {"bibliography"}
    assert "Dao and A. B. Gu." in Page(edited.html("part/lesson")).texts[DAO]

    # nothing is left for a build from nothing to do otherwise
    incremental = edited.html("part/lesson"), edited.html("glossary")
    clean = built(book, "html", "-E", "-a")
    assert incremental == (clean.html("part/lesson"), clean.html("glossary"))


def test_only_pages_have_cards(book):
    book.write("plain.md", "# Plain\n\nA {term}`gate`.\n")
    for builder in ("latex", "singlehtml"):
        result = built(book, builder)
        for file in (*result.out.glob("*.tex"), *result.out.glob("*.html")):
            assert "hover" not in file.read_text()
    pages = built(book, "dirhtml").out / "plain" / "index.html"
    assert Page(pages.read_text()).order == ["../glossary/#term-gate"]


def test_a_fault_of_what_a_card_shows_is_told_once(book):
    conf = (book.source / "conf.py").read_text()
    conf = conf.replace("'hover_cards'", "'hover_cards', 'build_time_math'")
    book.write("conf.py", conf)
    faulty = GLOSSARY.replace("`gate`", "`gait`").replace("$N$", r"$\no$")
    book.write("glossary.md", faulty)
    result = book.build("html")
    assert result.code == 1
    assert result.log.count("term not in glossary") == 1
    assert result.log.count("can't be set") == 1
