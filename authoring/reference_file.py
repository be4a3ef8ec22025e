"""Edit references.bib: add what was pasted, or give keys by the rule.

A branch that added works under other keys is tidied by renaming them, also
where pages, code and tests name them. Files are written whole or not at all.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from pybtex.database import Entry

from pasted_bibtex import read, write
from references import ENTRY, faults, identities, own_faults, parse
from work_key import derive_key

PLACES = ("book/**/*.md", "book/_ext/*.py", "src/**/*.py", "src/**/*.json")
PLACES += ("tests/**/*.py", "training/*.py", "*.md")


def insert(bib: str, work: Entry) -> str:
    """Put an entry where its key belongs."""
    text = write(work)
    for entry in ENTRY.finditer(bib):
        if entry[1] > work.key:
            start = entry.start()
            return f"{bib[:start]}{text}\n\n{bib[start:]}"
    return f"{bib.rstrip()}\n\n{text}\n".lstrip()


def add(pasted: str, bib: str) -> tuple[str, list[str]]:
    """Return the file with the pasted works in it, and their keys.

    Raises ValueError if one of them can't be, or is there already.
    """
    if found := faults(bib):
        line, fault = found[0]
        raise ValueError(f"references.bib:{line}: {fault}. Mend that first")
    keys = []
    for work in read(pasted):
        title = work.fields.get("title", "(without title)")
        if missing := "; ".join(own_faults(work)):
            raise ValueError(f"{title}: this work {missing}")
        works = parse(bib)[0]
        there = {i: (w, n) for n, w in works.items() for i in identities(w)}
        for kind, value in identities(work):
            if (kind, value) in there:
                old, line = there[kind, value]
                raise ValueError(
                    f"{title}: it is there already, with the same {kind}:"
                    f" cite {old.key}, references.bib:{line}"
                )
        work.key = derive_key(work, {w.key for w in works.values()})
        keys.append(work.key)
        bib = insert(bib, work)
    if found := faults(bib):
        raise ValueError(f"It would break references.bib: {found[0][1]}")
    return bib, keys


def replace(path: Path, text: str) -> None:
    """Write a file whole, or leave it as it is."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        shutil.copymode(path, name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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


def tidied(root: Path) -> tuple[dict[Path, str], dict[str, str]]:
    """Return the new text of each file that changes, and renamed keys."""
    bib = root / "references.bib"
    old = {bib: bib.read_text(encoding="utf-8")}
    renamed = new_keys(old[bib])
    for place in PLACES if renamed else ():
        old |= {f: f.read_text(encoding="utf-8") for f in root.glob(place)}
    new = {file: rename(text, renamed) for file, text in old.items()}
    new[bib] = in_order(new[bib])
    return {f: text for f, text in new.items() if text != old[f]}, renamed
