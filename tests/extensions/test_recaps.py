"""Recaps show what builds on them; connections.yaml becomes a table."""

import re

import pytest

LESSON = """---
orphan: true
lesson: {{number: {number}}}
---

# {title}

{body}
"""
PAGE = """# Earlier

(recap-cache)=
## The cache

*Series 4.3, efficiency.* It *grows*.

(recap-loop)=
## The loop

*Series 4.1.* It goes on.

```{connections}
```
"""
DATA = """lessons: {b: Second, a: First, c: Third}
hosted: {recap-cache: series-4/efficiency}
rows:
- new: Sharing
  builds_on: {caching: recap-cache, looping: recap-loop}
  source: Series 4.3 (efficiency)
  lessons: [a, b]
- new: Skipping
  builds_on: {looping: recap-loop}
  source: Series 4.1
  lessons: [c]
"""


@pytest.fixture
def book(tiny):
    tiny.configure("myst_parser", "recaps")
    tiny.write("index.md", PAGE)
    tiny.write("connections.yaml", DATA)
    write_lesson(tiny, "a", 10, "{ref}`a store <recap-cache>`")
    write_lesson(tiny, "b", 9, "{ref}`recap-cache`, and no `recap-loop`")
    return tiny


def write_lesson(book, name, number, body, title=""):
    title = title or f"Lesson {number}"
    text = LESSON.format(number=number, title=title, body=body)
    book.write(f"{name}.md", text)


def users(result):
    """Under each recap, the lessons that take it up."""
    assert result.code == 0, result.log
    found = {}
    for part in result.html().split('<section id="')[2:]:
        line = re.search(r'<p class="taken-up-in">(.*?)</p>', part, re.S)
        text = re.sub(r"<[^>]+>", "", line[1] if line else "")
        found[re.search(r"recap-\w+", part)[0]] = text
    return found


def table(result):
    rows = re.findall(r"<tr.*?</tr>", result.html(), re.S)[1:]
    cells = [re.findall(r"<td>(.*?)</td>", row, re.S) for row in rows]
    return [[re.sub(r"</?(p|span|em).*?>", "", c) for c in r] for r in cells]


def link(page, text):
    return f'<a class="reference internal" href="{page}">{text}</a>'


def test_lessons_stand_below_the_recaps_they_take_up(book):
    result = book.build()
    assert users(result) == {
        "recap-cache": "Taken up in Lesson 9, Lesson 10.",
        "recap-loop": "",
    }
    assert link("b.html", "Lesson 9") in re.sub(
        "</?span.*?>", "", result.html()
    )
    sharing, skipping = table(result)
    assert sharing[:2] == [
        "Sharing",
        f"{link('#recap-cache', 'caching')},"
        f" {link('#recap-loop', 'looping')}, Series\N{NO-BREAK SPACE}4.3",
    ]
    assert sharing[2] == (
        f"{link('a.html', 'Lesson 10')}, {link('b.html', 'Lesson 9')}"
    )
    assert skipping[2] == "Third"


def test_the_line_belongs_to_its_recap_in_print_too(book):
    result = book.build("latex")
    (tex,) = [f.read_text() for f in result.out.glob("*.tex")]
    assert result.code == 0, result.log
    assert tex.count(r"\label{\detokenize{index:recap-loop}}") == 1
    cache = tex.index(r"\label{\detokenize{index:recap-cache}}")
    loop = tex.index(r"\label{\detokenize{index:recap-loop}}")
    assert cache < tex.index("Taken up in") < loop


def test_what_changed_since_the_last_build_is_seen(book):
    book.build()
    write_lesson(book, "c", 1, "{ref}`recap-loop`")  # comes
    result = book.build()
    assert users(result)["recap-loop"] == "Taken up in Lesson 1."
    assert table(result)[1][2] == link("c.html", "Lesson 1")

    write_lesson(book, "a", 10, "{ref}`recap-loop`", "Renamed")
    (book.source / "b.md").rename(book.source / "d.md")
    result = book.build()
    assert users(result) == {
        "recap-cache": "Taken up in Lesson 9.",
        "recap-loop": "Taken up in Lesson 1, Renamed.",
    }
    sharing, _ = table(result)
    assert sharing[2] == f"{link('a.html', 'Renamed')}, Second"

    (book.source / "c.md").unlink()
    result = book.build()
    assert users(result)["recap-loop"] == "Taken up in Renamed."
    assert table(result)[1][2] == "Third"

    book.write("connections.yaml", DATA.replace("Third", "Any other"))
    assert table(book.build())[1][2] == "Any other"


def test_reading_in_parallel_gives_the_same_page(book):
    for i in range(20, 30):
        write_lesson(book, f"more{i}", i, "{ref}`recap-loop`")
    alone = book.build().html()
    together = book.build("html", "-j", "2", "-E", "-a")
    assert together.code == 0, together.log
    assert together.html() == alone


def test_a_recap_leads_to_its_lesson_if_that_is_hosted(book):
    assert "series-4/" not in book.build().html()
    config = book.source / "conf.py"
    config.write_text(
        config.read_text() + "earlier_series_url = 'https://example.org/'\n"
    )
    result = book.build()
    assert result.code == 0, result.log
    links = re.findall(r"<a [^>]*https://example.*?</a>", result.html())
    assert links == [
        '<a class="reference external"'
        ' href="https://example.org/series-4/efficiency">'
        "<em>Series 4.3, efficiency.</em></a>"
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "line", "message"),
    [
        (
            "{caching: recap-cache",
            "{caching: recap-cash",
            4,
            "there is no recap recap-cash; the nearest: recap-cache,",
        ),
        ("lessons: [c]", "lessons: [cc]", 8, "no lesson cc; the nearest: c,"),
        ("source: Series 4.1", "sauce: x", 8, "in a row: sauce, source"),
    ],
)
def test_a_fault_in_the_data_is_named(book, right, wrong, line, message):
    assert right in DATA
    book.write("connections.yaml", DATA.replace(right, wrong))
    result = book.build()
    assert result.code == 1
    (fault,) = [x for x in result.log.splitlines() if "WARNING" in x]
    assert f"connections.yaml:{line}: WARNING: " in fault
    assert message in fault


def test_a_recap_that_went_is_missed(book):
    page = book.source / "index.md"
    page.write_text(page.read_text().replace("recap-cache", "recap-store"))
    result = book.build()
    assert result.code == 1
    assert "undefined label: 'recap-cache'" in result.log
    assert "connections.yaml:4: WARNING: there is no recap" in result.log
