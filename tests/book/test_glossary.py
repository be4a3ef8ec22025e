"""The terms of the book: used, in order, short, and fit for flash cards."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
PAGES = {
    page.relative_to(BOOK).with_suffix("").as_posix(): page.read_text()
    for page in sorted(BOOK.rglob("*.md"))
}
GLOSSARIES = [page for page in PAGES if "\n```{glossary}" in PAGES[page]]


@dataclass
class Entry:
    """What stands under a term, read from the page's text."""

    page: str
    term: str
    definition: str
    fields: str

    def field(self, name: str) -> str:
        found = re.search(rf"^:{name}: (.*)", self.fields, re.MULTILINE)
        return found[1] if found else ""


def entries_on(page: str) -> list[Entry]:
    (block,) = re.findall(r"\n```\{glossary\}\n(.*?)\n```", PAGES[page], re.S)
    block = re.sub(r"\A(:.*\n)+\n?", "", block)
    found = []
    for text in re.split(r"\n\n(?=\S)", block):
        term, _, rest = text.partition("\n")
        lines = [line.removeprefix("  ") for line in rest.splitlines()]
        definition, _, fields = "\n".join(lines).partition("\n\n:")
        found.append(Entry(page, term, definition, f":{fields}"))
    return found


def uses_of(page: str) -> set[str]:
    """The terms that a page links."""
    links = re.findall(r"\{term\}`([^`]+)`", PAGES[page])
    targets = [re.sub(r".*<(.+)>", r"\1", link, flags=re.S) for link in links]
    return {" ".join(target.lower().split()) for target in targets}


ENTRIES = [entry for page in GLOSSARIES for entry in entries_on(page)]
USES = {page: uses_of(page) for page in PAGES.keys() - GLOSSARIES}
TERMS = [entry for entry in ENTRIES if entry.page == "glossary"]


def test_the_pages_are_read():
    assert len(TERMS) >= 28
    assert len({entry.term.lower() for entry in ENTRIES}) == len(ENTRIES)
    linked = sum(len(uses) for uses in USES.values())
    assert linked >= len(TERMS)


@pytest.mark.parametrize("page", GLOSSARIES)
def test_terms_are_in_order(page):
    names = [entry.term for entry in ENTRIES if entry.page == page]
    assert names == sorted(names, key=str.casefold)


@pytest.mark.parametrize("entry", TERMS, ids=lambda entry: entry.term)
def test_a_term_is_used(entry):
    assert any(entry.term.lower() in uses for uses in USES.values())


@pytest.mark.parametrize("entry", TERMS, ids=lambda entry: entry.term)
def test_a_term_is_used_where_it_is_introduced(entry):
    for page in re.findall(r"\{doc\}`/(.+?)`", entry.field("from")):
        assert entry.term.lower() in USES[page]


def test_terms_that_are_named_exist():
    known = {entry.term.lower() for entry in ENTRIES}
    for page, uses in USES.items():
        assert not uses - known, page
    for entry in ENTRIES:
        related = re.findall(r"\{term\}`(.+?)`", entry.fields)
        for name in related:
            assert name.lower() in known - {entry.term.lower()}, entry


def test_a_definition_is_short():
    for entry in ENTRIES:
        assert entry.definition
        assert len(entry.definition.split()) <= 60, entry.term
        assert entry.definition.rstrip()[-1] in ".?)", entry.term


def test_flash_cards_need_no_macros_of_ours():
    """Anki doesn't know what conf.py defines."""
    (value,) = [
        node.value
        for node in ast.parse((BOOK / "conf.py").read_text()).body
        if isinstance(node, ast.Assign)
        and node.targets[0].id == "math_macros"
    ]
    macros = "|".join(map(re.escape, ast.literal_eval(value)))
    for entry in ENTRIES:
        for formula in re.findall(r"\$(.+?)\$", entry.definition):
            assert not re.search(rf"({macros})(?![a-zA-Z])", formula), entry
