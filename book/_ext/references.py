"""What references.bib promises: one check for all who rely on it.

The build stops at the first fault of the file, `lint` and the tests list
every one, and `cite` adds nothing that would be one. A fault is a line and a
message that begins with the entry's key and ends with the likely fix.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

import pybtex.errors
from pybtex.database import Entry
from pybtex.database.input.bibtex import Parser
from pybtex.exceptions import PybtexError
from sphinxcontrib.bibtex.citation_target import parse_citation_targets

from work_key import derive_key, plain, title_words
from works import VENUES, full_name

ENTRY = re.compile(r"^[ \t]*@\w+\s*[{(]\s*([^\s,]*)", re.MULTILINE)
NEEDED = (
    ("author",),
    ("title",),
    ("year",),
    ("eprint", "doi", "url"),
    (*VENUES, "eprint"),
)
ARXIV = r"\d\d(?:0[1-9]|1[0-2])\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7}"
ARXIV_URL = re.compile(rf"arxiv\.org/(?:abs|pdf)/({ARXIV})")
FORMS = {
    "year": (r"\d{4}", "four digits"),
    "eprint": (ARXIV, "2405.21060 or cs/0112017, without a version"),
    "doi": (r"10\.\d{4,9}/\S+", "10.1000/182, without https://doi.org/"),
    "url": (r"https://[\w.-]+\.\w{2,}(?:[:/?]\S*)?", "https://..."),
}
Fault = tuple[int, str]

CITED = re.compile(r"(?:\{cite(?::[pt])?\}|:cite(?::[pt])?:)`([^`]+)`")
ANCHOR = re.compile(r"\A---\n(?:(?!---\n).*\n)*?.*\banchor: *([^\s,}]+)")


def identities(work: Entry) -> Iterator[tuple[str, str]]:
    """What no two works share, in a form that can be compared."""
    fields = work.fields
    if "eprint" in fields:
        yield "eprint", re.sub(r"v\d+$", "", fields["eprint"])
    if "doi" in fields:
        yield "doi", fields["doi"].lower()
    if "title" in fields:
        yield "title", "".join(title_words(work))


def own_faults(work: Entry) -> Iterator[str]:
    """Yield what is missing or malformed in one entry."""
    fields = work.fields
    has = {n for n, v in (*fields.items(), *work.persons.items()) if v}
    missing = [
        " or ".join(any_of) for any_of in NEEDED if not has & {*any_of}
    ]
    if missing:
        yield f"needs {', and '.join(missing)}: add it to the entry"
    for name in ("title", *VENUES):
        if re.search(r"(?<!\\)%", fields.get(name, "")):
            yield rf"has a % in its {name}, which starts a comment: write \%"
    for name, (form, example) in FORMS.items():
        value = fields.get(name)
        if value and not re.fullmatch(form, value):
            yield f"has {name} {value}: write it like {example}"
    in_url = ARXIV_URL.search(fields.get("url", ""))
    if in_url and in_url[1] != fields.get("eprint"):
        yield f"has the url of arXiv:{in_url[1]}: let its eprint agree"


def read_bibtex(text: str) -> tuple[dict[str, Entry], list[PybtexError]]:
    """Read works by key, and what is wrong with the text, titles, names."""
    with pybtex.errors.capture() as errors:
        works = Parser().parse_string(text).entries
    for work in works.values():
        try:
            plain(work.fields.get("title", ""))
            list(map(full_name, work.persons.get("author", ())))
        except PybtexError as error:
            errors.append(error)
    return dict(works), errors


def parse(bib: str) -> tuple[dict[int, Entry], list[Fault]]:
    """Read works, by line, and faults; some drop every entry after them.

    So each entry is parsed on its own, and none can swallow the next.
    """
    starts = list(ENTRY.finditer(bib))
    ends = [entry.start() for entry in starts[1:]] + [len(bib)]
    works: dict[int, Entry] = {}
    found: list[Fault] = []
    lines: dict[str, int] = {}
    for entry, end in zip(starts, ends, strict=False):
        key, line = entry[1], bib.count("\n", 0, entry.start(1)) + 1
        # blank lines stand for what is above: pybtex counts lines
        text = "\n" * (line - 1) + bib[entry.start() : end]
        read, errors = read_bibtex(text)
        first = lines.setdefault(key.lower(), line)
        if errors:
            fault = f"is broken: {errors[0]}. Is a brace or a comma missing?"
            found.append((line, f"{key} {fault}"))
        elif list(read) != [key]:
            fault = f"expected one entry, found {list(read)}: start each"
            found.append((line, f"{key}: {fault} on a line of its own"))
        elif first != line:
            fault = f"stands in line {first} too: keep one of them"
            found.append((line, f"{key} {fault}"))
        else:
            works[line] = read[key]
    above = bib[: starts[0].start()] if starts else bib
    if "@" in above:  # pybtex would read it, and we would not
        line = above.count("\n", 0, above.index("@")) + 1
        found.append((line, "@ above the first entry: take it out"))
    return works, found


def twice(works: dict[int, Entry]) -> Iterator[Fault]:
    """Find papers that are there under two keys."""
    seen: dict[tuple[str, str], str] = {}
    for line, work in works.items():
        first = [(i[0], seen[i]) for i in identities(work) if i in seen]
        for kind, place in first[:1]:
            fault = f"is {place} again, by its {kind}: keep one of them"
            yield line, f"{work.key} {fault}"
        for identity in identities(work):
            seen.setdefault(identity, f"{work.key} (line {line})")


def incomplete(works: dict[int, Entry]) -> Iterator[Fault]:
    for line, work in works.items():
        for fault in own_faults(work):
            yield line, f"{work.key} {fault}"


def misnamed(works: dict[int, Entry]) -> Iterator[Fault]:
    keys = {work.key for work in works.values()}
    for line, work in works.items():
        if any(own_faults(work)):
            continue
        wanted = derive_key(work, keys - {work.key})
        if work.key != wanted:
            fault = f"should be {wanted}: `nox -s cite -- --tidy` renames it"
            yield line, f"{work.key} {fault}"


def out_of_order(works: dict[int, Entry]) -> Iterator[Fault]:
    lines = {work.key: line for line, work in works.items()}
    for before, key in pairwise(lines):
        if key < before:
            after = next(other for other in lines if other > key)
            fault = f"is out of order: move it above {after}"
            yield lines[key], f"{key} {fault} (line {lines[after]})"


def faults(bib: str) -> list[Fault]:
    """List what is wrong in the file; of each entry, what comes first."""
    works, found = parse(bib)
    for check in (twice, incomplete, misnamed, out_of_order):
        named = {line for line, _ in found}
        found += [fault for fault in check(works) if fault[0] not in named]
    return sorted(found)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Name the likely keys: of the same author and year, then as spelled."""
    known = sorted(known)
    who_and_when = re.match(r"[^\d]+\d{4}|", key)[0] or key
    near = [other for other in known if other.startswith(who_and_when)]
    near += get_close_matches(key, known, 3, cutoff=0)
    names = ", ".join(list(dict.fromkeys(near))[:3])
    return f"references.bib has no {key}; its nearest keys: {names}"


def citations(page: str) -> Iterator[tuple[int, str]]:
    """Yield line and key of each citation in a page or a docstring."""
    if anchor := ANCHOR.search(page):
        yield page.count("\n", 0, anchor.start(1)) + 1, anchor[1]
    for role in CITED.finditer(page):
        line = page.count("\n", 0, role.start()) + 1
        try:
            targets = list(parse_citation_targets(role[1]))
        except ValueError:  # no key is like this
            yield line, role[1]
        else:
            yield from ((line, target.key) for target in targets)


def problems(bib: Path, pages: Iterable[Path]) -> list[tuple[Path, int, str]]:
    """List file, line and message of all that is wrong with citations."""
    text = bib.read_text(encoding="utf-8")
    found = {(bib, *fault) for fault in faults(text)}
    faulty = {line for _, line, _ in found}
    keys = set(re.findall(r"@\w+\s*[{(]\s*([^\s,]+)", text))  # broken, too
    cited: set[str] = set()
    for page in pages:
        for line, key in citations(page.read_text(encoding="utf-8")):
            cited.add(key)
            if key not in keys:
                found.add((page, line, unknown_key(key, keys)))
    for line, work in parse(text)[0].items():
        if work.key not in cited and line not in faulty:
            fault = "is cited nowhere: cite it, or take it out"
            found.add((bib, line, f"{work.key} {fault}"))
    return sorted(found)
