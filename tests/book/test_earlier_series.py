"""Recaps are short and say where they come from; the answers are right."""

import math
import re
from pathlib import Path

import pytest
import yaml

BOOK = Path(__file__).parents[2] / "book"
PAGE = (BOOK / "earlier-series.md").read_text()
HOSTED = yaml.safe_load((BOOK / "connections.yaml").read_text())["hosted"]
RECAPS = dict(
    re.findall(
        r"^\((recap-[\w-]+)\)=\n### .+\n((?:.*\n)*?)(?=\(|#|\Z)", PAGE, re.M
    )
)
LONGER = {"recap-autoencoders", "recap-diffusion", "recap-clip"}
READY = PAGE[PAGE.index("## Ready?") : PAGE.index("## Series 1")]
ANSWERS = READY.split("```{admonition} Answer\n")[1:]


def words(recap: str) -> int:
    """Without citations and display formulas; other formulas are one."""
    text = re.sub(r"^\$\$.*?^\$\$", "", recap, flags=re.M | re.S)
    text = re.sub(r"\{cite:p\}`.*?`", "", text)
    return len(re.sub(r"\$.*?\$", "x", text).split())


def test_all_recaps_are_read():
    assert len(RECAPS) == len(re.findall(r"^\(recap-", PAGE, re.M)) >= 28


@pytest.mark.parametrize("label", RECAPS)
def test_a_recap_is_short(label):
    most = 180 if label in LONGER else 120
    assert 60 <= words(RECAPS[label]) <= most
    assert "$$" in RECAPS[label]


@pytest.mark.parametrize("label", RECAPS)
def test_a_recap_says_first_where_it_comes_from(label):
    source = re.match(
        r"\n\*Series (\d)(\.\d)?(?:, (?:and 4\.2|([\w-]+)))?\.\* ",
        RECAPS[label],
    )
    assert source
    if label in HOSTED:
        assert HOSTED[label] == f"series-{source[1]}/{source[3]}"
    else:
        assert source[3] is None


def test_ten_questions_each_with_an_answer_and_a_recap():
    numbers = re.findall(r"^(\d+)\. .+\?$", READY, re.M)
    assert numbers == [str(n) for n in range(1, 11)]
    assert len(ANSWERS) == 10
    for answer in ANSWERS:
        assert ":class: dropdown" in answer
        (label, *_) = re.findall(r"\{ref\}`(recap-[\w-]+)`", answer)
        assert label in RECAPS


def test_the_numbers_in_the_answers():
    passes, cache, speed, wins = (ANSWERS[i] for i in (0, 4, 5, 8))
    assert f" {200 - 1} to generate" in passes
    assert f"about {2 * 12 * 64 * 12 * 1000 * 2 / 1e6:.0f} MB" in cache
    seconds = 7e9 * 2 / 1e12
    assert f"which takes {1000 * seconds:.0f} ms" in speed
    assert f"About {round(1 / seconds, -1):.0f}." in speed
    assert f"{1 / (1 + math.exp(-(3 - 1))):.2f}" in wins
