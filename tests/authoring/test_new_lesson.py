"""A lesson is begun whole, in its place, and passes before it is written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lesson_lint
import new_lesson
import plan
from lesson import front_matter

ROOT = Path(__file__).parents[2]
PARTS = ("authoring", "book", "src", "tests", "references.bib")
KEY = "dao2024transformers"
# a lesson that no author will write: the tests stay when all others are
SLUG = "throw-away-lesson"
ROW = """
[[lesson]]
page = "frontiers/throw-away-lesson"
title = "A Throw-Away Lesson"
asks = "what stays of it"
snippets = ["throwaway", "another"]
demands = [{ what = "builds on CLIP", recaps = ["recap-clip"] }]
"""
LINE = "- **A Throw-Away Lesson**: what stays of it\n"
OTHERS = "These lessons are planned and not yet written:\n\n"


def copy_of_the_tree(root: Path) -> Path:
    for part in (*PARTS, "pyproject.toml", "noxfile.py", "CITATION.cff"):
        if (ROOT / part).is_dir():
            skip = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / part, root / part, ignore=skip)
        else:
            shutil.copy(ROOT / part, root / part)
    for file in ("LICENSE-TEXT", "README.md", "constraints.txt"):
        shutil.copy(ROOT / file, root / file)
    with (root / "authoring/plan.toml").open("a") as rows:
        rows.write(ROW)
    index = root / "book/frontiers/index.md"
    text = index.read_text()
    if OTHERS not in text:
        text = text.replace("```{toctree}", f"{OTHERS}\n```{{toctree}}")
    index.write_text(text.replace(OTHERS, OTHERS + LINE))
    return root


def content(root: Path) -> dict[Path, bytes]:
    return {f: f.read_bytes() for f in root.rglob("*") if f.is_file()}


@pytest.fixture
def tree(tmp_path) -> Path:
    return copy_of_the_tree(tmp_path)


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A tree with the lesson begun."""
    root = copy_of_the_tree(tmp_path_factory.mktemp("tree"))
    assert new_lesson.main([SLUG, "--anchor", KEY], root) == 0
    return root


def run(root: Path, *command: str) -> str:
    """Run Python in a tree; return what it says, or fail with it."""
    paths = [root / "src", root / "authoring", root / "book/_ext"]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_says_what_it_made_and_what_to_do(tree, capsys):
    assert new_lesson.main([SLUG, "--anchor", KEY], tree) == 0
    said = capsys.readouterr().out
    for name in (
        "book/frontiers/throw-away-lesson.md",
        "tests/book/test_throw_away_lesson.py",
        "src/snippets/throwaway.py",
        "tests/snippets/test_throwaway.py",
        "tests/parity/test_throwaway.py",
        "src/snippets/another.py",
    ):
        assert f"  {name}\n" in said
        assert (tree / name).is_file()
    assert "nox -s live" in said


def test_it_has_the_facts_of_the_plan_and_no_word_of_a_template(begun):
    lesson = plan.load(begun)[-1]
    assert lesson.state(begun) == "begun"
    assert plan.missing(lesson, begun) == {}  # its recaps are linked
    for file in new_lesson.new_files(lesson, KEY, begun):
        for word in ("MODULE_NAME", "LESSON_", "ANCHOR-KEY", "\n\n\n\n"):
            assert word not in file.read_text(), file
    facts = front_matter(lesson.file(begun))["lesson"]
    assert facts["number"] == 22
    assert facts["anchor"] == KEY
    assert facts["snippets"] == ["throwaway", "another"]


def test_the_gates_of_lint_pass(begun):
    page = begun / "book/frontiers/throw-away-lesson.md"
    assert page in lesson_lint.lessons(begun / "book")
    assert lesson_lint.faults(page) == []


def test_its_tests_and_the_house_s_pass(begun):
    own = [f"tests/book/test_{SLUG.replace('-', '_')}.py"]
    own += [f"tests/snippets/test_{m}.py" for m in ("throwaway", "another")]
    house = [f"tests/book/test_{n}.py" for n in ("house", "plan")]
    but = [
        "--deselect",
        "tests/book/test_plan.py::test_21_lessons_in_5_modules",
    ]
    assert " passed" in run(begun, "pytest", *own, *house, *but)
    parity = "tests/parity/test_throwaway.py"  # it needs torch only
    assert "1 passed" in run(begun, "pytest", "--noconftest", parity)


@pytest.mark.slow  # mypy starts cold
def test_it_is_formatted_and_typed(begun):
    run(begun, "ruff", "check", ".")
    run(begun, "ruff", "format", "--check", ".")
    run(begun, "mypy")


def test_its_module_s_page_lists_it_last(begun):
    index = (begun / "book/frontiers/index.md").read_text()
    assert index.endswith(f"\n{SLUG}\n```\n")
    assert LINE not in index


INDEX = """# Module

The lessons of this module are planned and not yet written:

- **Mixture of Experts**: one
- **Long Context and Efficient Attention**: two
- **Training and Serving at Scale**: three
"""
FIRST = """# Module

These lessons are planned and not yet written:

- **Mixture of Experts**: one
- **Long Context and Efficient Attention**: two

```{toctree}
:numbered: 2
:maxdepth: 1

training-and-serving-at-scale
```
"""
ALL = """# Module

```{toctree}
:numbered: 2
:maxdepth: 1

mixture-of-experts
long-context-and-efficient-attention
training-and-serving-at-scale
```
"""


def test_lessons_move_from_the_plan_to_the_contents_in_order():
    lessons = plan.load()
    third, first, second = (lessons[n] for n in (10, 8, 9))
    index = new_lesson.with_lesson(INDEX, third, lessons)
    assert index == FIRST
    for lesson in (first, second):
        index = new_lesson.with_lesson(index, lesson, lessons)
    assert index == ALL


def test_the_code_s_page_keeps_the_order_of_lessons(begun):
    page = (begun / "book/api/index.md").read_text()
    modules = new_lesson.OF_MODULE.findall(page)
    lessons = plan.load(begun)
    of_lessons = [m for lesson in lessons for m in lesson.snippets]
    found = [module for module in modules if module in of_lessons]
    assert found == sorted(found, key=of_lessons.index)
    assert found[-2:] == ["throwaway", "another"]
    assert modules[: len(found)] == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["throwaway-leson", "--anchor", KEY],
            "the plan has no lesson 'throwaway-leson'; the nearest:"
            " throw-away-lesson",
        ),
        (
            [SLUG, "--anchor", "dao2024"],
            "references.bib has no dao2024; its nearest keys: dao2024",
        ),
        (
            ["in-context-learning", "--anchor", KEY],
            "book/reasoning/in-context-learning.md is there already",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_made(
    tree, capsys, arguments, message
):
    before = content(tree)
    assert new_lesson.main(arguments, tree) == 1
    assert f"Nothing was made: {message}" in capsys.readouterr().err
    assert content(tree) == before


def test_an_anchor_is_asked_for(tree, capsys):
    with pytest.raises(SystemExit):
        new_lesson.main([SLUG], tree)
    assert "--anchor" in capsys.readouterr().err


def test_one_file_in_the_way_and_nothing_is_made(tree, capsys):
    (tree / "tests/snippets/test_another.py").write_text("mine")
    before = content(tree)
    assert new_lesson.main([SLUG, "--anchor", KEY], tree) == 1
    assert "test_another.py is there already" in capsys.readouterr().err
    assert content(tree) == before


@pytest.mark.parametrize("fails_at", [1, 3, 6, 7])
def test_a_disk_that_fails_leaves_nothing(tree, monkeypatch, fails_at):
    before, calls = content(tree), []

    def replace(file: Path, text: str) -> None:
        calls.append(file)
        if len(calls) == fails_at:
            raise OSError("no space left")
        file.write_text(text)

    monkeypatch.setattr(new_lesson, "replace", replace)
    assert new_lesson.main([SLUG, "--anchor", KEY], tree) == 1
    assert content(tree) == before


@pytest.mark.slow
def test_the_book_builds_with_it(begun):
    folders = ("-d", "_build/doctrees", "book", "_build/html")
    run(begun, "sphinx", "-q", "-W", "-n", "-j", "auto", *folders)
    page = (begun / f"_build/html/frontiers/{SLUG}.html").read_text()
    assert "at the lowest temperature the first choice has" in page


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("latexmk"), reason="needs LaTeX")
def test_it_is_printed_without_a_box_too_wide(begun):
    folders = ("-d", "_build/printed", "book", "_build/latex")
    run(begun, "sphinx", "-b", "latex", "-q", "-W", "-n", *folders)
    tex = begun / "_build/latex/recent-llm-advances.tex"
    options = ("-lualatex", "-interaction=nonstopmode", "-halt-on-error")
    subprocess.run(
        ["latexmk", *options, tex.name],
        cwd=tex.parent,
        capture_output=True,
        check=True,
    )
    judge = begun / "book/_ext/latex_log.py"
    log = tex.with_suffix(".log")
    done = subprocess.run([sys.executable, judge, log], capture_output=True)
    assert done.returncode == 0, done.stderr
