"""Find a work in references.bib, or add one: see `nox -s cite -- --help`."""

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from pybtex.database import Entry

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from reference_file import add, replace, tidied  # noqa: E402
from references import parse  # noqa: E402
from work_key import plain, title_words  # noqa: E402
from works import WorkStyle, fold, full_name, last_name  # noqa: E402

BIB = ROOT / "references.bib"


def words_of(text: str) -> list[str]:
    """Split into words without case, accents and signs."""
    return re.findall(r"\w+", fold(text))


def searched(work: Entry) -> set[str]:
    """Collect the words that a work is found by."""
    names = " ".join(map(full_name, work.persons["author"]))
    title, year = plain(work.fields["title"]), work.fields["year"]
    words = words_of(f"{names} {title} {year} {work.key}")
    return {*words, *title_words(work)}


def score(word: str, work: Entry) -> int:
    """Tell how well a work meets a word; 0 is not at all."""
    has = searched(work)
    if word in words_of(last_name(work.persons["author"][0])):
        return 3
    if word in has:
        return 2
    return int(any(other.startswith(word) for other in has))


def find(query: str, works: Iterable[Entry]) -> list[Entry]:
    """List the works that have all words of the query, best first."""
    scores = [(w, [score(q, w) for q in words_of(query)]) for w in works]
    hits = [(sum(s), work) for work, s in scores if all(s)]
    return [work for _, work in sorted(hits, key=lambda hit: -hit[0])]


def nothing_found(query: str, works: list[Entry]) -> str:
    """Say which word is to blame, and what is near to it."""
    known = sorted({word for work in works for word in searched(work)})
    lines = ["No work in references.bib has all these words:"]
    for word in words_of(query):
        near = ", ".join(get_close_matches(word, known, 3)) or "nothing"
        count = len(find(word, works))
        where = (
            f"in {count} of {len(works)}"
            if count
            else (f"in none; near to it: {near}")
        )
        lines.append(f"  {word}: {where}")
    lines.append("To add it, paste its BibTeX: nox -s cite -- --add -")
    return "\n".join(lines)


def describe(works: list[Entry], shown: list[Entry]) -> str:
    """Say of each shown work how it reads, and what to paste."""
    style = WorkStyle()
    works = style.sort(works)
    labels = zip(works, style.format_labels(works), strict=True)
    label_of = {work.key: label for work, label in labels}
    blocks = []
    for work in shown:
        key, label = work.key, label_of[work.key]
        about = style.format_entry(label, work).text.render_as("text")
        authors, _, year = label.rpartition(", ")
        indented = {"initial_indent": "  ", "subsequent_indent": "  "}
        blocks.append(
            f"{label}\n{textwrap.fill(about, 78, **indented)}\n"
            f"  {{cite:t}}`{key}`  {authors} ({year})\n"
            f"  {{cite:p}}`{key}`  ({label})\n"
        )
    return "\n".join(blocks)


def main(arguments: Sequence[str] | None = None, path: Path = BIB) -> int:
    """Find or add, and print what to paste into a page."""
    parser = argparse.ArgumentParser(
        prog="nox -s cite --",
        description="Find a work in references.bib, or add one to it.",
    )
    parser.add_argument("words", nargs="*", help="of the title or an author")
    parser.add_argument(
        *("-a", "--add"),
        metavar="FILE",
        help="add the BibTeX in FILE, or what is pasted if FILE is -",
    )
    parser.add_argument(
        *("-t", "--tidy"),
        action="store_true",
        help="sort references.bib, and rename keys that are off the rule",
    )
    given = parser.parse_args(arguments)
    if bool(given.words) + bool(given.add) + given.tidy != 1:
        parser.error("give words to find, or --add FILE, or --tidy")
    if given.tidy:
        return tidy(path.parent)
    bib, keys = path.read_text(encoding="utf-8"), list[str]()
    if given.add:
        try:
            bib, keys = add(read_source(given.add), bib)
            replace(path, bib)
        except (OSError, ValueError) as error:
            print(f"Nothing was added. {error}", file=sys.stderr)
            return 1
        print("Added to references.bib:\n")
    works, query = list(parse(bib)[0].values()), " ".join(given.words)
    shown = [work for work in works if work.key in keys] or find(query, works)
    if not shown:
        print(nothing_found(query, works), file=sys.stderr)
        return 1
    print(describe(works, shown), end="")
    return 0


def tidy(root: Path) -> int:
    """Write the files that change, and say how keys did."""
    try:
        new, renamed = tidied(root)
    except ValueError as error:
        print(f"Nothing was changed. {error}", file=sys.stderr)
        return 1
    for file, text in new.items():
        replace(file, text)
    for old, key in renamed.items():
        print(f"{old} -> {key}")
    print(f"{len(new)} files changed")
    return 0


def read_source(name: str) -> str:
    """Read a file, or what is pasted into the terminal."""
    if name != "-":
        return Path(name).read_text(encoding="utf-8-sig")
    if sys.stdin.isatty():
        print("Paste BibTeX, then end with Ctrl-D (Windows: Ctrl-Z, Enter):")
    return sys.stdin.read()


if __name__ == "__main__":
    sys.exit(main())
