"""Entries of a glossary: their facts, their users, what is said of faults."""

import csv
import json
import re
from html import unescape

import pytest

BIB = """
@misc{gu2024mamba,
  author = {Gu, Albert and Dao, Tri},
  title = {Mamba},
  year = {2024},
  eprint = {2312.00752},
}
"""

INDEX = """# Book

```{toctree}
recurrence
attention
terms
words
works
```
"""

# out of order, and with all that an entry can have
TERMS = """# Terms

```{glossary}
state
  What "is" carried on, $a < b$; not a {term}`KV cache`.

  And *nothing* else: `s`.

  :papers write: hidden state; $h_t$
  :from: {ref}`notes`, {doc}`/recurrence`
  :paper: {cite:t}`gu2024mamba`
  :see: {term}`KV cache`,
    {term}`baseline`

KV cache
  Keys and values.

  :from: Series 4.3, and {doc}`/attention`
```
"""

WORDS = """# Words

```{glossary}
:kind: paper word

baseline
  What has to be beaten.

oracle
  What is told the answer.
```
"""

MOVED = """
```{glossary}
:kind: paper word

baseline
  Beat it.
```
"""

RECURRENCE = """# Recurrence

(notes)=
## Notes

It has a {term}`State` and many {term}`states <state>`.
"""

ATTENTION = "# Attention\n\nA {term}`KV cache`, no {term}`Baseline`.\n"

PAGES = {
    "index.md": INDEX,
    "recurrence.md": RECURRENCE,
    "attention.md": ATTENTION,
    "terms.md": TERMS,
    "words.md": WORDS,
    "works.md": "# Works\n\n```{bibliography}\n```\n",
    "refs.bib": BIB,
}


@pytest.fixture
def book(tiny):
    tiny.configure(
        "myst_parser",
        "terms",
        "term_data",
        myst_enable_extensions=["fieldlist", "dollarmath"],
        bibtex_bibfiles=["refs.bib"],
        bibtex_default_style="book",
        bibtex_reference_style="book",
        html_title="Tiny",
    )
    for name, text in PAGES.items():
        tiny.write(name, text)
    return tiny


def entry(result, term, page="terms"):
    """The text of an entry: its definition and its line of facts."""
    anchor = f'<dt id="term-{term.replace(" ", "-")}">'
    (text,) = re.findall(
        f"{anchor}.*?<dd>(.*?)</dd>", result.html(page), re.S
    )
    parts = text.replace('<div class="term-facts', "|<div").split("|")
    return tuple(
        " ".join(unescape(re.sub(r"<.*?>", "", part)).split())
        for part in parts
    )


def test_an_entry(book):
    first = book.build()
    assert first.code == 0, first.log
    assert entry(first, "state") == (
        r"What “is” carried on, \(a < b\); not a KV cache."
        " And nothing else: s.",
        r"Papers write hidden state; \(h_t\) · Introduced in Notes,"
        " Recurrence · Paper Gu and Dao (2024) · See also KV cache, baseline",
    )
    # Attention uses it, and introduces it; the glossaries are not counted
    assert entry(first, "KV cache")[1] == (
        "Introduced in Series 4.3, and Attention"
    )
    assert entry(first, "baseline", "words") == (
        "What has to be beaten.",
        "Used in Attention",
    )
    assert entry(first, "oracle", "words") == ("What is told the answer.",)
    check_json(first)
    cards = check_cards(first)

    # a page starts to use terms, another one stops, a definition changes
    book.write("recurrence.md", RECURRENCE.split("\nIt has")[0])
    book.write("index.md", INDEX + "\n{term}`Baseline`, {term}`state`\n")
    book.write("terms.md", TERMS.replace("Keys and", "All keys and"))
    second = book.build()
    assert second.code == 0, second.log
    assert entry(second, "baseline", "words")[1] == "Used in Book, Attention"
    assert entry(second, "state")[1].endswith("baseline · Used in Book")
    assert entry(second, "KV cache")[0] == "All keys and values."
    changed = [
        (a, b) for a, b in zip(cards, cards_of(second), strict=True) if a != b
    ]
    (((guid, _, old, _), (same, _, new, _)),) = changed
    assert guid == same
    assert old == "<p>Keys and values.</p>"
    assert new == "<p>All keys and values.</p>"

    # only a title changes, then a term moves that an old page links
    book.write("index.md", "# Tome\n" + INDEX[6:] + "\n{term}`baseline`\n")
    third = book.build()
    assert third.code == 0, third.log
    assert entry(third, "baseline", "words") == (
        "What has to be beaten.",
        "Used in Tome, Attention",
    )
    book.write("words.md", WORDS.replace("baseline", "outline"))
    book.write("terms.md", TERMS + MOVED)
    last = book.build()
    assert last.code == 0, last.log
    assert entry(last, "baseline") == ("Beat it.", "Used in Tome, Attention")
    assert 'href="terms.html#term-baseline"' in last.html("attention")
    published = data_of(last)
    clean = book.build("html", "-E", "-a")
    assert data_of(clean) == published
    assert entry(clean, "baseline") == entry(last, "baseline")


def data_of(result):
    return [
        (result.out / f"glossary.{kind}").read_bytes()
        for kind in ("json", "tsv")
    ]


def check_json(result):
    data = json.loads(data_of(result)[0])
    assert data["book"] == "Tiny"
    terms = {entry["term"]: entry for entry in data["terms"]}
    assert list(terms) == ["baseline", "KV cache", "oracle", "state"]
    assert terms["state"] == {
        "term": "state",
        "kind": "term",
        "link": "terms.html#term-state",
        "definition": r"What “is” carried on, \(a < b\); not a KV cache."
        " And nothing else: s.",
        "html": r"<p>What “is” carried on, \(a &lt; b\); not a KV cache.</p>"
        '<p>And <em>nothing</em> else: <code class="docutils literal'
        ' notranslate"><span class="pre">s</span></code>.</p>',
        "papers_write": r"hidden state; \(h_t\)",
        "introduced": [
            {"title": "Notes", "link": "recurrence.html#notes"},
            {"title": "Recurrence", "link": "recurrence.html"},
        ],
        "papers": ["gu2024mamba"],
        "related": ["KV cache", "baseline"],
        "used": [{"title": "Recurrence", "link": "recurrence.html"}],
    }
    assert terms["baseline"]["kind"] == "paper word"
    assert terms["baseline"]["papers_write"] == ""
    for entry_ in terms.values():
        page, anchor = entry_["link"].split("#")
        assert f'id="{anchor}"' in (result.out / page).read_text()


def cards_of(result):
    """The rows, where a quoted field has "" for a quote, as Anki reads."""
    lines = data_of(result)[1].decode().splitlines()
    return list(csv.reader(lines[7:], delimiter="\t", strict=True))


def check_cards(result):
    lines = data_of(result)[1].decode().splitlines()
    # the keys and values that Anki's manual lists for headers
    assert dict(line[1:].split(":", 1) for line in lines[:7]) == {
        "separator": "tab",
        "html": "true",
        "deck": "Tiny",
        "notetype": "Basic",
        "columns": "GUID\tFront\tBack\tTags",
        "guid column": "1",
        "tags column": "4",
    }
    assert lines[0] == "#separator:tab"
    rows = cards_of(result)
    assert [row[1] for row in rows] == [
        "baseline",
        "KV cache",
        "oracle",
        "state",
    ]
    assert [row[3] for row in rows] == [
        "paper-word",
        "term",
        "paper-word",
        "term",
    ]
    assert len({row[0] for row in rows}) == 4
    assert rows[3][2].startswith(r"<p>What “is” carried on, \(a &lt; b\);")
    return rows


def test_only_a_site_publishes_data(book):
    latex = book.build("latex")
    assert latex.code == 0, latex.log
    assert not list(latex.out.glob("glossary.*"))
    (tex,) = latex.out.glob("*.tex")
    lines = tex.read_text().replace("\N{NO-BREAK SPACE}", " ").splitlines()
    # book.sty sets what stands in this environment
    start = lines.index(r"\begin{sphinxuseclass}{term-facts}")
    line = lines[start + 2]
    assert line.startswith(r"\sphinxstyleemphasis{Papers write }\DUrole")


FROM = "\n\n  :from: {doc}`/recurrence`"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "  Keys and values.",
            "  " + "word " * 61,
            15,
            "KV cache: its definition has 61 words; make it 60 at most",
        ),
        (
            "  :from: Series",
            "  :form: Series",
            15,
            "KV cache: there is no field 'form'; perhaps `:from:`",
        ),
        (
            "\n  :from: Series 4.3, and {doc}`/attention`\n",
            "",
            15,
            "KV cache: an entry says where its term comes from; add `:from:`"
            " with a {ref} or {doc}, or `:paper:` with a {cite:t}",
        ),
        (
            "  Keys and values.\n",
            "",
            15,
            "KV cache: its definition is missing; it stands before the",
        ),
        (
            "    {term}`baseline`",
            "    {term}`State`",
            4,
            "state: it refers to itself; take it out of `:see:`",
        ),
        (
            "Keys and values.",
            "Keys of a {term}`baselin`.",
            16,
            "no glossary has the term 'baselin'; its nearest: baseline,",
        ),
        (
            "KV cache\n",
            f"State\n  It.{FROM}\n\nKV cache\n",
            15,
            "State: stands in {source}/terms.md:4 too; keep one",
        ),
        (
            "KV cache\n",
            f"baseline\n  It.{FROM}\n\nKV cache\n",
            None,
            "baseline: stands in {source}/terms.md:15 too; keep one",
        ),
    ],
)
def test_a_fault_has_one_message(book, old, new, line, message):
    assert TERMS.count(old) == 1
    path = book.write("terms.md", TERMS.replace(old, new))
    for jobs in ("1", "2"):
        result = book.build("html", "-E", "-j", jobs)
        assert result.code == 1
        (found,) = re.findall(".*WARNING.*", result.log)
        place = f"{path}:{line}" if line else f"{book.source}/words.md:6"
        text = message.replace("{source}", str(book.source))
        assert found.startswith(f"{place}: WARNING: {text}"), found
    assert not (result.out / "glossary.json").exists()
