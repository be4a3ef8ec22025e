"""The vendored texts are what their README says, and are cut as asked."""

import hashlib

import pytest

from execution_key import Package
from snippets import data


def test_every_text_has_its_provenance() -> None:
    readme = (data.TEXTS / "README.md").read_text(encoding="utf-8")
    for file in data.TEXTS.glob("*.txt"):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert f"{digest}  {file.name}\n" in readme
        assert f"| `{file.name}` |" in readme


def test_moby_dick_has_its_chapters() -> None:
    text = data.moby_dick()
    headings = [x for x in text.splitlines() if x.startswith("CHAPTER ")]
    assert [int(x.split()[1].strip(".")) for x in headings] == [*range(1, 17)]
    assert text.startswith("CHAPTER 1. Loomings.\n\nCall me Ishmael.")
    assert "\r" not in text
    assert 100_000 < len(text) < 200_000


def test_pages_that_read_it_run_again_when_it_changes() -> None:
    reached = Package("snippets").reached("from snippets import data")
    assert data.TEXTS / "moby-dick.txt" in reached


def test_chunks() -> None:
    assert data.chunks([1, 2, 3, 4, 5, 6, 7], 3) == [[1, 2, 3], [4, 5, 6]]
    assert data.chunks([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
    assert data.chunks([1], 2) == []
    with pytest.raises(ValueError, match="at least 1, got 0"):
        data.chunks([1], 0)
