"""The book does what its plan says; `nox -s plan` shows where.

What a lesson that is not written has to do yet fails no test.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import plan
from lesson import front_matter
from lesson_page import read

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
LESSONS = plan.load()
OF_PAGE = {lesson.page: lesson for lesson in LESSONS}
PARAMETERS = pytest.mark.parametrize("lesson", LESSONS, ids=lambda x: x.slug)
WRITTEN = [lesson for lesson in LESSONS if lesson.state() == "written"]
MODULES = {
    "alignment": 4,
    "reasoning": 4,
    "scaling": 3,
    "multimodal": 4,
    "frontiers": 6,
}
DEEP = {
    "beyond-text-and-images": ["introduced", "introduced"],
    "open-frontiers": ["introduced", "introduced", "mentioned"],
    "prompt-engineering": ["introduced"],
}


def demand(lesson: plan.Lesson, what: str) -> plan.Demand:
    return next(d for d in lesson.demands if d.what.startswith(what))


def test_21_lessons_in_5_modules():
    in_order = [m for m, count in MODULES.items() for _ in range(count)]
    assert [lesson.module for lesson in LESSONS] == in_order
    assert [lesson.number for lesson in LESSONS] == [*range(1, 22)]
    assert len({lesson.slug for lesson in LESSONS}) == 21
    assert WRITTEN


def test_all_connections_are_demands_of_lessons():
    rows = yaml.safe_load((BOOK / "connections.yaml").read_text())["rows"]
    assert len(rows) == 26
    for row in rows:
        for page in row["lessons"]:
            built = demand(OF_PAGE[page], f"{row['new']} builds on")
            assert built.recaps == [*row["builds_on"].values()]


def test_recaps_that_are_demanded_exist():
    recaps = (BOOK / "earlier-series.md").read_text()
    for lesson in LESSONS:
        for needed in lesson.demands:
            for label in needed.recaps:
                assert f"({label})=\n" in recaps, (lesson.slug, label)


def test_what_is_only_introduced_or_mentioned():
    found = {}
    for lesson in LESSONS:
        for needed in lesson.demands:
            assert needed.recaps or needed.says or needed.runs
            if needed.depth:
                found.setdefault(lesson.slug, []).append(needed.depth)
    assert found == DEEP


@PARAMETERS
def test_a_lesson_is_called_as_planned(lesson):
    index = (BOOK / lesson.module / "index.md").read_text()
    line = f"- **{lesson.title}**: {lesson.asks}\n"
    toctree = re.search(r"```\{toctree\}\n(.*?)```", index, re.S)
    listed = toctree[1].split() if toctree else []
    if lesson.state() == "planned":
        assert line in index
        assert lesson.slug not in listed
    else:
        assert f"\n# {lesson.title}\n" in lesson.file().read_text()
        assert f"**{lesson.title}**" not in index
        assert lesson.slug in listed


@pytest.mark.parametrize("lesson", WRITTEN, ids=lambda lesson: lesson.slug)
def test_a_written_lesson_does_what_is_planned(lesson):
    assert plan.missing(lesson) == {}


@pytest.mark.parametrize("lesson", WRITTEN, ids=lambda lesson: lesson.slug)
def test_each_demand_can_fail(lesson):
    """Take out what meets it, and it is missing."""
    blocks = read(lesson.file())
    for needed in lesson.demands:
        line = needed.line(blocks)
        assert 1 <= line <= len(lesson.file().read_text().splitlines())
        pattern = needed.says[:1] or needed.recaps[:1] or needed.runs[:1]
        bare = [
            block
            for block in blocks
            if not plan.found(
                pattern[0], f"{block.text} {block.roles} {block.body}"
            )
        ]
        assert needed.lacks(bare), needed.what


def test_a_page_without_its_facts_is_not_in_the_plan():
    pages = {
        page.relative_to(BOOK).with_suffix("").as_posix()
        for page in BOOK.glob("*/*.md")
        if front_matter(page).get("lesson")
    }
    written = {x.page for x in LESSONS if x.state() != "planned"}
    assert pages == written


PAGE = """# Title

## First

It says retrieval.

### RAG, in a picture

{cell}

## Second

{paragraph}
"""
CELL = "```{code-cell} python\nfigures.show(fig)\n```"
BARE = "```{code-cell} python\nprint(1)\n```"


@pytest.mark.parametrize(
    ("cell", "paragraph", "introduced", "mentioned"),
    [
        (f"Retrieval.\n\n{CELL}", "RAG, retrieval {cite:p}`a`", True, True),
        ("Retrieval.", f"{CELL}\n\nRetrieval {{cite:p}}`a`", False, False),
        (f"Nothing.\n\n{CELL}", "RAG, retrieval", False, False),
        (f"Retrieval.\n\n{BARE}", "RAG", False, False),
    ],
)
def test_depth(tmp_path, cell, paragraph, introduced, mentioned):
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(cell=cell, paragraph=paragraph))
    needed = plan.Demand("RAG", says=["[Rr]etriev", "RAG"])
    for depth, there in (
        ("introduced", introduced),
        ("mentioned", mentioned),
    ):
        lacks = replace(needed, depth=depth).lacks(read(page))
        assert (not lacks) == there, depth


def test_a_recap_counts_in_its_section_only(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("## First\n\n{ref}`so <recap-x>`\n\n## Second\n\nNo.\n")
    for section, lacks in (
        ("", []),
        ("First", []),
        ("Second", ["a link to recap-x in `Second`"]),
    ):
        needed = plan.Demand("x", section, ["recap-x"])
        assert needed.lacks(read(page)) == lacks
    assert plan.Demand("y", recaps=["recap"]).lacks(read(page))


def test_capitals_count_where_the_plan_has_them():
    assert plan.found("iterat", "Iterative methods")
    assert plan.found("RAG", "with RAG")
    assert not plan.found("RAG", "a fragment")
