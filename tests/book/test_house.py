"""The house stands as planned: what may know what, and what agrees."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import plan
from lesson import front_matter

ROOT = Path(__file__).parents[2]
SNIPPETS = ROOT / "src" / "snippets"
SHARED = {
    *("arguments", "checkpoints", "data", "figures"),
    *("reading", "recorded", "smollm"),
}

# Every lesson in order, and the modules that are its own.

PLAN = {lesson.page: lesson.snippets for lesson in plan.load()}
LESSON_OF = {m: n for n, page in enumerate(PLAN, 1) for m in PLAN[page]}
WRITTEN = [
    str(page.relative_to(ROOT / "book").with_suffix(""))
    for page in sorted((ROOT / "book").glob("*/*.md"))
    if front_matter(page).get("lesson")
]


def imports(file: Path) -> set[str]:
    """Every module that a file names in an import, relative ones resolved."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "snippets" if node.level else None
            base = ".".join(filter(None, [base, node.module]))
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def test_something_is_written():
    assert WRITTEN


@pytest.mark.parametrize("page", WRITTEN)
def test_a_lesson_is_where_the_plan_has_it(page):
    facts = front_matter(ROOT / "book" / f"{page}.md")["lesson"]
    assert page in PLAN
    assert facts["number"] == list(PLAN).index(page) + 1
    assert facts["snippets"] == PLAN[page]
    assert re.fullmatch(r"20\d\d-[01]\d", str(facts["checked"]))
    for module in PLAN[page]:
        assert (SNIPPETS / f"{module}.py").is_file()
        assert (ROOT / f"tests/snippets/test_{module}.py").is_file()


@pytest.mark.parametrize(
    "module", sorted(f.stem for f in SNIPPETS.glob("[!_]*.py"))
)
def test_a_module_knows_only_earlier_lessons(module):
    assert module in LESSON_OF or module in SHARED
    used = imports(SNIPPETS / f"{module}.py")
    assert not [name for name in used if name.startswith("sphinx")]
    own = {n.split(".")[1] for n in used if n.startswith("snippets.")}
    later = {m for m in own & LESSON_OF.keys() if module in SHARED
             or LESSON_OF[m] > LESSON_OF[module]}  # fmt: skip
    assert not later


@pytest.mark.parametrize(
    "module", sorted(f.stem for f in SNIPPETS.glob("[!_]*.py"))
)
def test_what_is_returned_is_not_read_as_a_type(module):
    """Napoleon takes what stands before a colon there for the type."""
    code = (SNIPPETS / f"{module}.py").read_text()
    first_lines = re.findall(r"^ +Returns:\n(.*)", code, re.MULTILINE)
    assert [line for line in first_lines if ":" in line] == []


@pytest.mark.parametrize(
    "file", sorted((ROOT / "book").rglob("*.py")), ids=lambda f: f.name
)
def test_the_book_knows_neither_tests_nor_lessons(file):
    forbidden = {"tests", "training"} | {f"snippets.{m}" for m in LESSON_OF}
    for name in imports(file):
        assert not forbidden & {name, name.split(".")[0]}


def test_version_and_licenses_are_said_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == citation["version"]
    assert project["license"] == " AND ".join(citation["license"])
    for name in ("README.md", "LICENSE-TEXT", "book/conf.py"):
        text = (ROOT / name).read_text()
        assert "CC BY 4.0" in text, name
        assert "MIT" in text, name


def test_everything_is_locked():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if line[:1] != "#")
    assert locked["torch"] == "2.13.0"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(x for e in extras for x in e)]
    names = {re.match(r"[\w-]+", text)[0] for text in wanted}
    assert names <= {name.replace("_", "-").lower() for name in locked}
