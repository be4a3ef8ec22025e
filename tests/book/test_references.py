"""The book's own references.bib is whole, and what would harm it is named.

Each fault is planted into a copy of the real file: the message has to name
the line where it was planted, and nothing else.
"""

import re
from pathlib import Path

import pytest
from pybtex.database import parse_file, parse_string

from check_references import SOURCES
from references import citations, faults, problems, unknown_key
from work_key import derive_key

ROOT = Path(__file__).parents[2]
BIB = ROOT / "references.bib"
TEXT = BIB.read_text()
VENUE = "  booktitle = {Conference on Language Modeling (COLM)},\n"
EPRINT = "  eprint = {2312.00752},\n"
URL = "  url = {https://openreview.net/forum?id=tEYskw1VY2},\n"
MAMBA = re.search(r"@\w+\{gu2024mamba,.*?\n\}\n", TEXT, re.S)[0]
KEYS = re.findall(r"^@\w+\{(.*),$", TEXT, re.MULTILINE)
BEFORE, AFTER = (KEYS[KEYS.index("gu2024mamba") + i] for i in (-1, 1))


def test_nothing_is_wrong_and_no_entry_is_lost():
    assert problems(BIB, SOURCES) == []
    assert list(parse_file(BIB).entries) == KEYS == sorted(KEYS)
    assert len(KEYS) == TEXT.count("@") > 30


def planted(old, new):
    """The file with something replaced in the entry of one paper."""
    assert MAMBA.count(old) == 1, old
    return TEXT.replace(MAMBA, MAMBA.replace(old, new))


def the_fault(bib, key):
    """What is said of an entry, if it is said where it stands, and alone."""
    ((line, fault),) = faults(bib)
    assert bib.splitlines()[line - 1].endswith(f"{{{key},")
    assert fault.startswith(key)
    return fault


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{2024},", "{2024}"),
        ("Mamba:", "{Mamba:"),
        (",\n}", ",\n"),
        ("author = {", "author = "),
        ("{Mamba:", "{{Mamba%}:"),
        ("{Gu,", "{{Gu%},"),
    ],
)
def test_a_broken_entry(old, new):
    fault = the_fault(planted(old, new), "gu2024mamba")
    assert "is broken: " in fault
    assert fault.endswith("Is a brace or a comma missing?")


def test_entries_that_would_be_lost():
    ((line, fault),) = faults(f"{TEXT}\n{MAMBA}")
    assert line == TEXT.count("\n") + 2
    first = TEXT.count("\n", 0, TEXT.index(MAMBA)) + 1
    assert fault == (
        f"gu2024mamba stands in line {first} too: keep one of them"
    )
    joined = TEXT.replace(f"}}\n\n{MAMBA}", f"}} {MAMBA}")
    fault = the_fault(joined, BEFORE)
    assert f"found ['{BEFORE}', 'gu2024mamba']: start each" in fault
    ((line, fault),) = faults(f"% see\n% @misc{{a, year = 1}}\n{TEXT}")
    assert (line, fault) == (2, "@ above the first entry: take it out")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("eprint", [("{Mamba:", "{Python:")]),
        ("eprint", [("{Mamba:", "{Python:"), ("00752}", "00752v2}")]),
        ("title", [("2312.00752", "2312.99999")]),
        ("title", [("2312.00752", "2312.99999"), ("{Mamba", "{{MAMBA}")]),
    ],
)
def test_one_paper_under_two_keys(kind, changes):
    copy = MAMBA.replace("gu2024mamba", "gu2024other")
    for old, new in changes:
        assert old in copy
        copy = copy.replace(old, new)
    bib = TEXT.replace(MAMBA, f"{MAMBA}\n{copy}")
    line = bib.count("\n", 0, bib.index(MAMBA)) + 1
    assert the_fault(bib, "gu2024other") == (
        f"gu2024other is gu2024mamba (line {line}) again, by its {kind}:"
        " keep one of them"
    )


def test_a_doi_is_one_in_any_case():
    assert "{10.18653/v1/2022.acl-long.556}" in TEXT
    doi = "  doi = {10.18653/V1/2022.acl-LONG.556},\n"
    fault = the_fault(planted(URL, doi), "lu2022fantastically")
    assert re.search(r"is gu2024mamba \(line \d+\) again, by its doi", fault)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ([("author", "editor")], "author"),
        ([("title = {M", "tilte = {M")], "title"),
        ([("year", "date")], "year"),
        ([("{2024}", "{}")], "year"),
        ([(EPRINT, ""), (URL, "")], "eprint or doi or url"),
        (
            [(EPRINT, ""), (VENUE, "")],
            "booktitle or journal or howpublished or eprint",
        ),
        ([("year", "date"), ("author", "by")], "author, and year"),
    ],
)
def test_what_an_entry_needs(changes, missing):
    entry = MAMBA
    for old, new in changes:
        assert entry.count(old) == 1, old
        entry = entry.replace(old, new)
    fault = the_fault(TEXT.replace(MAMBA, entry), "gu2024mamba")
    assert fault == f"gu2024mamba needs {missing}: add it to the entry"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eprint", "2312.00752v2"),
        ("eprint", "2313.00752"),
        ("eprint", "2312.752"),
        ("eprint", "arXiv:2312.00752"),
        ("eprint", "cs.LG/123"),
        ("doi", "https://doi.org/10.1000/182"),
        ("doi", "10.1/2"),
        ("doi", "10.1000/a b"),
        ("url", "http://example.org"),
        ("url", "example.org"),
        ("url", "https://example"),
        ("url", "https://example.org/a b"),
        ("year", "24"),
    ],
)
def test_the_form_of_ids(name, value):
    line = {"eprint": EPRINT, "year": "  year = {2024},\n"}.get(name, URL)
    bib = planted(line, f"  {name} = {{{value}}},\n")
    fault = the_fault(bib, "gu2024mamba")
    assert fault.startswith(f"gu2024mamba has {name} {value}: write it like ")


def test_what_follows_a_percent_sign_would_be_lost():
    assert the_fault(planted("{Mamba:", "{50% Mamba:"), "gu2024mamba") == (
        r"gu2024mamba has a % in its title, which starts a comment: write \%"
    )
    keys = {fault for _, fault in faults(planted("{Mamba", r"{50\% Mamba"))}
    assert all("should be gu202450" in fault for fault in keys)


def test_an_address_of_another_paper():
    url = "  url = {https://arxiv.org/abs/2405.21060v1},\n"
    assert the_fault(planted(URL, url), "gu2024mamba") == (
        "gu2024mamba has the url of arXiv:2405.21060: let its eprint agree"
    )


def test_a_key_off_the_rule():
    fault = the_fault(planted("gu2024mamba", "gu2024ssm"), "gu2024ssm")
    assert fault == (
        "gu2024ssm should be gu2024mamba: `nox -s cite -- --tidy` renames it"
    )


def test_an_entry_out_of_order():
    late = TEXT.replace(f"{MAMBA}\n", "") + f"\n{MAMBA}"
    line = late[: late.index(f"{{{AFTER},")].count("\n") + 1
    assert the_fault(late, "gu2024mamba") == (
        f"gu2024mamba is out of order: move it above {AFTER} (line {line})"
    )
    early = f"{MAMBA}\n{TEXT.replace(MAMBA, '')}"
    fault = the_fault(early, KEYS[0])
    assert fault.endswith("move it above gu2024mamba (line 1)")


def test_old_ids_and_all_good_forms_pass():
    good = planted("2312.00752", "cond-mat/0112017")
    assert faults(good) == []
    assert faults(planted("2312.00752", "math.GT/0309136")) == []
    assert faults(planted("2312.00752", "0704.0001")) == []


def test_a_broken_entry_is_all_that_is_said_of_its_work(tmp_path):
    bib = tmp_path / "references.bib"
    for broken in (
        planted("{2024},", "{2024}"),
        TEXT.replace(f"}}\n\n{MAMBA}", f"}} {MAMBA}"),
        TEXT.replace(MAMBA, f"{MAMBA}\n{MAMBA.replace('024m', '024x')}"),
    ):
        bib.write_text(broken)
        assert len(problems(bib, SOURCES)) == 1


def test_a_key_that_pages_have_and_the_file_lacks_and_the_reverse(tmp_path):
    page, bib = tmp_path / "page.md", tmp_path / "references.bib"
    page.write_text(
        "---\nlesson: {number: 5, anchor: gu2024mambo, checked: 2026-11}\n"
        "---\n\nAs {cite:t}`gu2022efficiently` say, an anchor: nothing.\n"
        "So it is {cite:p}`{see}gu2024mamba{Table 2},\n  dao2024ssd`.\n"
        "A broken one: {cite:p}`gu2024mamba{Table 2}{3}`.\n"
    )
    bib.write_text(TEXT[TEXT.index("@inproceedings{gu2022") :])
    found = problems(bib, [page])
    by_page = [(line, text) for file, line, text in found if file == page]
    assert [line for line, _ in by_page] == [2, 6, 8]
    for (_, text), key in zip(
        by_page, ("gu2024mambo", "dao2024ssd", "gu2024mamba{"), strict=True
    ):
        assert text.startswith(f"references.bib has no {key}")
        assert "; its nearest keys: gu2024mamba, " in text or "ssd" in text
    uncited = [text for file, _, text in found if file == bib]
    assert len(uncited) == len(parse_file(bib).entries) - 2
    assert (
        "hendel2023incontext is cited nowhere: cite it, or take it out"
        in uncited
    )


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("gu2024mambo", "gu2024mamba"),
        ("lu2022fantastically", "lu2022fantastically"),
        ("gou2024mamba", "gu2024mamba"),
        ("2024mamba", "gu2024mamba"),
    ],
)
def test_the_nearest_key_shares_author_and_year(key, nearest):
    near = unknown_key(key, KEYS).partition("nearest keys: ")[2]
    assert near.split(", ")[0] == nearest
    assert len(near.split(", ")) == 3


def test_docstrings_cite_too():
    text = '"""Equation 3 of\n:cite:t:`gu2024mamba`. See {cite}`dao2024x`."""'
    assert list(citations(text)) == [(2, "gu2024mamba"), (2, "dao2024x")]


@pytest.mark.parametrize(
    ("author", "year", "title", "key"),
    [
        ("Gu, Albert", 2024, "Mamba: Linear-Time", "gu2024mamba"),
        ("von Oswald, J", 2023, "Gradient Descent", "vonoswald2023gradient"),
        ("{Duman Keles}, F", 2023, "On The Way", "dumankeles2023way"),
        ("{DeepSeek-AI}", 2024, "{DeepSeek-V3}", "deepseekai2024deepseekv3"),
        ('Aky{\\"u}rek, E', 2023, "What Learning", "akyurek2023learning"),
        ("Sørensen, Łukasz", 2023, "“Who?” Us", "sorensen2023us"),
        ("{Kimi Team}", 2025, "{Kimi} Linear", "kimiteam2025kimi"),
        ("Hendel, R", 2023, "In-Context Learning", "hendel2023incontext"),
        ("O'Neill, A", 2020, "{L}et's {V}erify", "oneill2020lets"),
        ("Al-Twairesh, N", 2024, "A/B — Tests", "altwairesh2024b"),
        ("Who, A", 2024, "What Is It", "who2024what"),
    ],
)
def test_the_rule_of_keys(author, year, title, key):
    bib = f"@misc{{x, author={{{author}}}, title={{{title}}}, year={year}}}"
    work = parse_string(bib, "bibtex").entries["x"]
    assert derive_key(work) == key


def hendrycks(word, number, title):
    return (
        f"@misc{{hendrycks2021{word}, author={{Hendrycks, D}}, year=2021,"
        f" eprint={{2103.0387{number}}}, title={{{title}}}}}\n"
    )


def test_the_next_word_is_taken_when_the_first_is():
    math = 4, "Measuring Mathematical Problem Solving"
    mmlu = 5, "Measuring Massive Multitask Language Understanding"
    # Whoever came first keeps the first word.
    for one, other in (
        (hendrycks("massive", *mmlu), hendrycks("measuring", *math)),
        (hendrycks("mathematical", *math), hendrycks("measuring", *mmlu)),
    ):
        assert faults(one + other) == []
        ((line, fault),) = faults(one)
        assert (line, "be hendrycks2021measuring" in fault) == (1, True)


def test_a_number_is_taken_when_no_word_is_left():
    work = "@misc{x, author={A, B}, year=2020, title={Of %s}}"
    entry = parse_string(work % "Mice", "bibtex").entries["x"]
    assert derive_key(entry, {"a2020mice"}) == "a2020mice2"
