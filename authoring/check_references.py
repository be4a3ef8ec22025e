"""List what is wrong in references.bib, and where pages cite it."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from references import problems  # noqa: E402

SOURCES = [*ROOT.glob("book/**/*.md"), *ROOT.glob("src/**/*.py")]


def main() -> int:
    """Print one line a fault, as compilers do."""
    found = problems(ROOT / "references.bib", SOURCES)
    for file, line, message in found:
        place = f"{file.relative_to(ROOT).as_posix()}:{line}"
        print(f"{place}: {message}", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
