"""What the plan says builds on what is recapped, and said in the lessons."""

from itertools import chain
from pathlib import Path

import pytest
import yaml

from recaps import LABEL, recaps_in

BOOK = Path(__file__).parents[2] / "book"
DATA = yaml.safe_load((BOOK / "connections.yaml").read_text())
ROWS = DATA["rows"]
RECAPS = LABEL.findall((BOOK / "earlier-series.md").read_text())
NAMED = sorted({lesson for row in ROWS for lesson in row["lessons"]})
WRITTEN = [page for page in NAMED if (BOOK / f"{page}.md").is_file()]


def text(page: str) -> str:
    return (BOOK / f"{page}.md").read_text()


def test_the_plan_has_26_rows():
    assert len({row["new"] for row in ROWS}) == len(ROWS) == 26
    assert WRITTEN


def test_every_recap_is_there_once():
    labels = [row["builds_on"].values() for row in ROWS]
    assert {*chain(*labels), *DATA["hosted"]} <= {*RECAPS}
    assert len({*RECAPS}) == len(RECAPS)


def test_lessons_are_called_as_on_their_page_or_their_modules():
    assert sorted(DATA["lessons"]) == NAMED
    for lesson, title in DATA["lessons"].items():
        if lesson in WRITTEN:
            assert f"\n# {title}\n" in text(lesson)
        else:
            module = lesson.partition("/")[0]
            assert f"- **{title}**" in text(f"{module}/index")


@pytest.mark.parametrize("lesson", WRITTEN)
def test_a_lesson_refers_to_the_recaps_of_its_rows(lesson):
    rows = [row for row in ROWS if lesson in row["lessons"]]
    wanted = chain(*(row["builds_on"].values() for row in rows))
    assert {*wanted} <= {*recaps_in(text(lesson))}


@pytest.mark.parametrize("lesson", WRITTEN)
def test_a_lesson_knows_its_recaps(lesson):
    assert {*recaps_in(text(lesson))} <= {*RECAPS}
