"""Make an entry as references.bib has them of BibTeX pasted from the web.

arXiv, Google Scholar, DBLP, OpenReview, the ACL Anthology and the ACM write
the same paper in six ways. Here one form comes out, or a ValueError that says
what is missing.
"""

import re
import unicodedata

from pybtex.database import Entry, Person

from references import ARXIV, ARXIV_URL, read_bibtex

# stand in for a venue, for books, reports and theses
PUBLISHERS = ("publisher", "institution", "school", "organization")
MAX_AUTHORS = 10

ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303"}
ACCENTS |= {"=": "\u0304", "u": "\u0306", ".": "\u0307", '"': "\u0308"}
ACCENTS |= {"r": "\u030a", "H": "\u030b", "v": "\u030c", "d": "\u0323"}
ACCENTS |= {"c": "\u0327", "k": "\u0328"}
ACCENTED = re.compile(
    r"(?<!/)\\(?:([`'^~=.\"])\s*|([urHvdck])(?:\s+|(?=\{)))"
    r"(?:\{\\?([A-Za-z])\s*\}|\\?([A-Za-z]))"
)
LETTERS = {"ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "i": "ı"}
LETTERS |= {"ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å"}
LETTER = re.compile(rf"\\({'|'.join(LETTERS)})(?![A-Za-z])(?:\{{\}}|\s+)?")

ARXIV_ID = re.compile(
    rf"(?:arxiv[:.\s]\s*|(?:abs|pdf)/|^)({ARXIV})(?!\d)",
    re.IGNORECASE,
)
AT_DOI = re.compile(r"^(?:https?://(?:dx\.)?doi\.org/|doi:\s*)")


def unescape(latex: str) -> str:
    r"""Write `{\"u}` as ü, and Google's `{$\{$LLM$\}$}` as {LLM}."""

    def accent(match: re.Match[str]) -> str:
        mark, letter = match[1] or match[2], match[3] or match[4]
        return unicodedata.normalize("NFC", letter + ACCENTS[mark])

    text = latex.replace(r"{$\{$", "{").replace(r"$\}$}", "}")
    text = LETTER.sub(lambda m: LETTERS[m[1]], ACCENTED.sub(accent, text))
    text = re.sub(r"\{([^\x00-\x7f])\}", r"\1", text)
    return re.sub(r"(?<!\\)%", r"\\%", text)  # no site means a comment


def tidy_title(title: str) -> str:
    """Protect words like LLMs by braces, and nothing else."""
    if re.fullmatch(r"\{[^{}]*\}", title):
        title = title[1:-1]
    title = re.sub(r"(?<!\w)\{([A-Z])\}(?=[a-z])", r"\1", title)  # {L}anguage
    parts = re.split(r"(\{[^{}]*\}|\$[^$]*\$)", title)
    # Every other part stands outside of braces and formulas.
    parts[::2] = [
        re.sub(r"(?<![\w\\])\w+[A-Z]\w*", r"{\g<0>}", part)
        for part in parts[::2]
    ]
    return "".join(parts)


def tidy_author(person: Person) -> str:
    """Write `Last, First`; a team in braces, as it has but one name."""
    name = str(person).strip(" ,")
    if re.fullmatch(r"others|et al\.?|al\.?, et", name):
        return "others"
    if person.last_names == ["Team"]:
        return f"{{{' '.join([*person.first_names, 'Team'])}}}"
    return name if re.search(r",|^\{|^$", name) else f"{{{name}}}"


def tidy_authors(persons: list[Person]) -> list[Person]:
    """Write all authors, or the first ten of more."""
    names = [name for person in persons if (name := tidy_author(person))]
    if len(names) > MAX_AUTHORS and names[MAX_AUTHORS:] != ["others"]:
        names = [*names[:MAX_AUTHORS], "others"]
    return [Person(name) for name in names]


def arxiv_id(raw: dict[str, str]) -> str:
    """Look for the paper's id wherever sites put it, without version."""
    places = ("eprint", "journal", "volume", "howpublished", "note")
    for place in (*places, "doi", "url"):
        if found := ARXIV_ID.search(raw.get(place, "")):
            return found[1]
    return ""


def venue(raw: dict[str, str], eprint: str) -> dict[str, str]:
    """Where it was published; arXiv is no venue, the eprint says it."""
    for name in ("booktitle", "journal", "howpublished"):
        text = raw.get(name, "")
        if text and not re.match(r"(?i)arxiv|corr$|.*https?://", text):
            return {name: text}
    names = [] if eprint else [raw[n] for n in PUBLISHERS if n in raw]
    return {"howpublished": names[0]} if names else {}


def links(raw: dict[str, str], eprint: str) -> dict[str, str]:
    """DOI and address, each in the one form that it has in the book."""
    doi = AT_DOI.sub("", raw.get("doi", ""))
    places = " ".join(raw.get(n, "") for n in ("url", "howpublished", "note"))
    found = re.search(r"https?://[^\s{}]+", places)
    url = re.sub("^http:", "https:", found[0]) if found else ""
    if AT_DOI.match(url):
        doi, url = doi or AT_DOI.sub("", url), ""
    if eprint and (not url or ARXIV_URL.search(url)):
        url = f"https://arxiv.org/abs/{eprint}"
    if "arxiv" in doi.lower():
        doi = ""
    pairs = {"doi": doi, "url": url}.items()
    return {name: re.sub(r"\\([_%&#~])", r"\1", s) for name, s in pairs}


def normalize(work: Entry) -> Entry:
    """Keep the fields that references.bib has, in its form and order."""
    fields = work.fields.items()
    raw = {name.lower(): " ".join(s.split()) for name, s in fields}
    eprint = arxiv_id(raw)
    where = venue(raw, eprint)
    kept = {
        "title": tidy_title(raw.get("title", "")),
        "year": raw.get("year") or raw.get("date", "")[:4],
        **where,
        "eprint": eprint,
        "archivePrefix": "arXiv" if eprint else "",
        **links(raw, eprint),
    }
    kind = {"booktitle": "inproceedings", "journal": "article"}
    tidy = Entry(
        kind.get("".join(where), "misc"),
        {name: text for name, text in kept.items() if text},
    )
    if "author" in work.persons:
        tidy.persons["author"] = tidy_authors(work.persons["author"])
    return tidy


def read(pasted: str) -> list[Entry]:
    """Parse what was pasted and bring each entry into the book's form."""
    works, errors = read_bibtex(unescape(pasted))
    if errors:
        raise ValueError(f"This is no BibTeX: {errors[0]}")
    if not works:
        raise ValueError("There is no entry: BibTeX begins with @")
    return [normalize(work) for work in works.values()]


def write(work: Entry) -> str:
    """Format an entry, with its key, as references.bib has it."""
    authors = " and ".join(map(str, work.persons["author"]))
    fields = {"author": authors, **work.fields}
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{work.type}{{{work.key},", *lines, "}"])
