"""Begin a lesson of the plan: its page, its modules, its tests, its place.

What is made builds, and passes all tests and linters before a word of it is
changed: a lesson in miniature, in which capitals say what belongs there. It
is written all at once or not at all, and never over anything.

    python authoring/new_lesson.py mixture-of-experts --anchor KEY
"""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import plan  # noqa: E402
from reference_file import replace  # noqa: E402
from references import parse, unknown_key  # noqa: E402

TEMPLATES = Path(__file__).parent / "templates"
PLANNED = re.compile(r"^\S.* planned and not yet written:\n\n", re.M)
ITEM = r"^- \*\*{title}\*\*.*\n"
SOME = "These lessons are planned and not yet written:\n\n"
TOCTREE = re.compile(
    r"(```\{toctree\}\n:numbered: 2\n:maxdepth: 1\n\n)((?:.+\n)+)```"
)
OF_MODULE = re.compile(r"^## `snippets\.(\w+)`$", re.M)
REFERENCE = """\
## `snippets.{module}`

```{{eval-rst}}
.. automodule:: snippets.{module}
   :members:
```

"""


def check_anchor(key: str, root: Path) -> None:
    """The anchor paper is a work that the book can cite."""
    bib = (root / "references.bib").read_text(encoding="utf-8")
    known = {work.key for work in parse(bib)[0].values()}
    if key not in known:
        raise ValueError(unknown_key(key, known))


def recaps_of(lesson: plan.Lesson) -> str:
    """A paragraph that links each recap the lesson stands on."""
    labels = dict.fromkeys(
        label for demand in lesson.demands for label in demand.recaps
    )
    links = [f"{{ref}}`THE IDEA IN A PHRASE <{label}>`" for label in labels]
    return f"It stands on {', '.join(links)}.\n\n" if links else ""


def filled(name: str, words: dict[str, str]) -> str:
    """A template with the facts of a lesson in it."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    for word, fact in words.items():
        text = text.replace(word, fact)
    return text


def new_files(
    lesson: plan.Lesson, anchor: str, root: Path
) -> dict[Path, str]:
    """Every file of the lesson, with what is written into it."""
    guide = (TEMPLATES / "read-the-paper.md").read_text(encoding="utf-8")
    words = {
        "READ_THE_PAPER": guide.strip(),
        "LESSON_RECAPS\n\n": recaps_of(lesson),
        "LESSON_NUMBER": str(lesson.number),
        "LESSON_TITLE": lesson.title,
        "LESSON_MODULES": f"[{', '.join(lesson.snippets)}]",
        "FACTS_CHECKED": f"{date.today():%Y-%m}",
        "ANCHOR-KEY": anchor,
    }
    first = {**words, "MODULE_NAME": lesson.snippets[0]}
    name = lesson.slug.replace("-", "_")
    files = {
        lesson.file(root): filled("lesson.md", first),
        root / f"tests/book/test_{name}.py": filled("test_lesson.py", first),
    }
    for module in lesson.snippets:
        own = {**words, "MODULE_NAME": module}
        for template, place in {
            "module.py": f"src/snippets/{module}.py",
            "test_module.py": f"tests/snippets/test_{module}.py",
            "test_parity.py": f"tests/parity/test_{module}.py",
        }.items():
            files[root / place] = filled(template, own)
    return files


def with_lesson(
    index: str, lesson: plan.Lesson, lessons: list[plan.Lesson]
) -> str:
    """A module's page that has the lesson among its pages, in order."""
    item = ITEM.format(title=re.escape(lesson.title))
    index = re.sub(item, "", index, flags=re.MULTILINE)
    still = re.search(r"^- \*\*", index, re.MULTILINE)
    index = PLANNED.sub(SOME if still else "", index)
    index = re.sub(r"\n{3,}", "\n\n", index)
    found = TOCTREE.search(index)
    pages = {*(found[2].split() if found else []), lesson.slug}
    order = [other.slug for other in lessons if other.slug in pages]
    listed = "".join(f"{slug}\n" for slug in order)
    if found:
        return f"{index[: found.start(2)]}{listed}{index[found.end(2) :]}"
    head = "```{toctree}\n:numbered: 2\n:maxdepth: 1\n\n"
    return f"{index.rstrip()}\n\n{head}{listed}```\n"


def with_modules(
    reference: str, lesson: plan.Lesson, lessons: list[plan.Lesson]
) -> str:
    """The page of the code with the lesson's modules, in order."""
    earlier = {
        module
        for other in lessons[: lesson.number - 1]
        for module in other.snippets
    }
    headings = OF_MODULE.finditer(reference)
    behind = next(h.start() for h in headings if h[1] not in earlier)
    new = "".join(REFERENCE.format(module=m) for m in lesson.snippets)
    return reference[:behind] + new + reference[behind:]


def begin(slug: str, anchor: str, root: Path = ROOT) -> list[Path]:
    """Write the lesson's files and its places; return the new files."""
    lessons = plan.load(root)
    lesson = plan.find(slug, lessons)
    check_anchor(anchor, root)
    new = new_files(lesson, anchor, root)
    for file in new:
        if file.exists():
            raise ValueError(f"{file.relative_to(root)} is there already")
    index = root / "book" / lesson.module / "index.md"
    reference = root / "book/api/index.md"
    old = {f: f.read_text(encoding="utf-8") for f in (index, reference)}
    texts = {
        **new,
        index: with_lesson(old[index], lesson, lessons),
        reference: with_modules(old[reference], lesson, lessons),
    }
    try:
        for file, text in texts.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()  # `replace` keeps the mode of what is there
            replace(file, text)
    except BaseException:
        for file in new:
            file.unlink(missing_ok=True)
        for file, text in old.items():
            replace(file, text)
        raise
    return [*new]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Begin a lesson, and say what was made and what to do next."""
    parser = argparse.ArgumentParser(
        prog="nox -s new-lesson --", description="Begin a lesson of the plan."
    )
    parser.add_argument("slug", help="of its page, as in authoring/plan.toml")
    parser.add_argument(
        "--anchor",
        required=True,
        metavar="KEY",
        help="the paper it prepares for; `nox -s cite -- WORDS` finds it",
    )
    given = parser.parse_args(arguments)
    try:
        made = begin(given.slug, given.anchor, root)
    except (OSError, ValueError) as error:
        print(f"Nothing was made: {error}", file=sys.stderr)
        return 1
    print("Made, and put into the table of contents:\n")
    for file in made:
        print(f"  {file.relative_to(root).as_posix()}")
    print("\nWhat to write stands there in capitals. Watch it: nox -s live")
    return 0


if __name__ == "__main__":
    sys.exit(main())
