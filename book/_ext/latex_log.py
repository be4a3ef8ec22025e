"""What is wrong with a PDF, read from the log of the LaTeX run that made it.

    python book/_ext/latex_log.py book.log     # prints problems; exit code 1

LaTeX goes on after a missing character, a line that runs into the margin or a
dead reference. A book doesn't: each is a problem here, with its page on paper
and, where LaTeX gives a line, the page of the book that it was made from.
Loose lines (underfull boxes) are no problem: the text around long names in
code has them, and none is as bad as a break in the name.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROBLEM = re.compile(
    r"! (?P<error>.+)"
    r"|(?:La)?TeX (?:Font )?Warning: (?P<latex>.+)"
    r"|(?:Package|Class) (?P<package>\S+) Warning: (?P<warning>.+)"
    r"|(?P<box>Overfull \\[hv]box .+)"
    r"|(?P<character>Missing character: .+)"
    r"|(?P<fonts>luaotfload.*(?:WARNING|ERROR).*)"
)
SHIPPED = re.compile(r"\[(\d+)(?=[\]\s{<]|$)")  # page 12 is done: [12 ...]
LINE = re.compile(r"lines? (\d+)")
PAGE = re.compile(r"\\label\{\\detokenize\{([^{}]+)::doc\}\}")


def messages(log: str) -> Iterator[tuple[int, str]]:
    """Each problem, after the number of the page it is on."""
    page = 1
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if not (found := PROBLEM.match(line)):
            page = max([page, *(int(n) + 1 for n in SHIPPED.findall(line))])
            continue
        rest = lines[number + 1 :]
        if package := found["package"] or (found["latex"] and "Font"):
            more = f"({package})"
            while rest and rest[0].startswith(more):
                line += " " + rest.pop(0).removeprefix(more).strip()
        elif "hbox" in line and rest:
            line += ": " + shown_text(rest[0])
        elif found["error"]:
            line += " " + next((t for t in rest if t.startswith("l.")), "")
        yield page, line.strip()


def shown_text(box: str) -> str:
    r"""The words in a box that TeX shows as \TU/Pagella/10 a long-[]word."""
    text = re.sub(r"\\TU/\S+|\\OM\S+|\[\]|\$|^\s+", "", box)
    return " ".join(text.split())[:72]


def source(tex: str, message: str) -> str:
    """The page of the book that a message of LaTeX is about."""
    if not tex or not (line := LINE.search(message)):
        return ""
    before = "\n".join(tex.splitlines()[: int(line[1])])
    pages = PAGE.findall(before)
    return f"{pages[-1]}, " if pages else ""


def problems(log: str, tex: str = "") -> list[str]:
    """Each problem in a readable line; `tex` is the file LaTeX was run on."""
    return [
        f"{source(tex, message)}printed page {page}: {message}"
        for page, message in messages(log)
    ]


def main(path: Path) -> int:
    tex = path.with_suffix(".tex")
    found = problems(
        path.read_text(errors="replace"),
        tex.read_text() if tex.exists() else "",
    )
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
