"""Give works the keys that the rule gives them, in order of key.

For a branch that added entries under other keys: a key is renamed wherever
pages, code, tests and training name it.
"""

import re
from pathlib import Path

from references import own_faults, parse
from work_key import derive_key

PLACES = ("book/**/*.md", "book/_ext/*.py", "src/**/*.py", "src/**/*.json")
PLACES += ("tests/**/*.py", "training/*.py", "*.md")


def new_keys(bib: str) -> dict[str, str]:
    """Map each key that breaks the rule to the one it should be."""
    works, found = parse(bib)
    if found:
        raise ValueError("references.bib:{}: {}".format(*found[0]))
    keys = {work.key for work in works.values()}
    renamed = {}
    for work in works.values():
        if any(own_faults(work)):
            continue  # lint says what it lacks
        wanted = derive_key(work, keys - {work.key})
        if work.key != wanted:
            renamed[work.key] = wanted
            keys = keys - {work.key} | {wanted}
    return renamed


def rename(text: str, renamed: dict[str, str]) -> str:
    """Replace keys that stand as words of their own."""
    words = re.compile(r"(?<!\w)[a-zA-Z]\w*\d{4}\w*(?!\w)", re.ASCII)
    return words.sub(lambda m: renamed.get(m[0], m[0]), text)


def in_order(bib: str) -> str:
    """Sort the entries by key; what stands above the first stays there."""
    top, *entries = re.split(r"^(?=@)", bib, flags=re.MULTILINE)
    entries = [entry.strip() for entry in entries]
    entries.sort(key=lambda entry: entry.partition("{")[2].partition(",")[0])
    return top + "\n\n".join(entries) + "\n"


def changes(root: Path) -> tuple[dict[Path, str], dict[str, str]]:
    """Return the new text of each file that changes, and renamed keys."""
    bib = root / "references.bib"
    old = {bib: bib.read_text(encoding="utf-8")}
    renamed = new_keys(old[bib])
    for place in PLACES if renamed else ():
        old |= {f: f.read_text(encoding="utf-8") for f in root.glob(place)}
    new = {file: rename(text, renamed) for file, text in old.items()}
    new[bib] = in_order(new[bib])
    return {f: text for f, text in new.items() if text != old[f]}, renamed
