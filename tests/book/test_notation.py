"""What the page on notation says of the two directions of KL.

Its own cells run here, with the humps of the page and with others.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

PAGE = Path(__file__).parents[2] / "book" / "notation.md"
CELLS = re.findall(
    r"^```\{code-cell\} \w+\n(?::tags:[^\n]*\n)?(.*?)^```$",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
SETUP, COINS, BELLS, _ = CELLS
HUMPS = pytest.mark.parametrize(
    ("left", "right", "share"),  # the page's first; `share` is on the left
    [(-2, 2, 0.4), (-2, 2, 0.7), (-2.4, 1.6, 0.3), (-1.8, 2.2, 0.6)],
)


def run(cell: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(SETUP + cell, names)
    return names


def bells(left: float, right: float, share: float) -> dict[str, Any]:
    """The page's cell with the humps moved."""
    cell = BELLS.replace("Normal(-2,", f"Normal({left},")
    cell = cell.replace("Normal(2,", f"Normal({right},")
    cell = cell.replace("tensor(0.4)", f"tensor({share})")
    return run(cell.replace("tensor(0.6)", f"tensor({1 - share})"))


def moments(x: Tensor, log_p: Tensor) -> tuple[float, float]:
    mean = (x * log_p.exp()).sum()
    return float(mean), float((((x - mean) ** 2) * log_p.exp()).sum().sqrt())


def test_two_orders_two_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(COINS)
    p, q = names["p"], names["q"]
    forward, reverse = re.findall(r"\d\.\d+", capsys.readouterr().out)
    div = torch.nn.functional.kl_div  # its second argument stands first
    assert float(forward) == pytest.approx(
        float(div(q.log(), p, reduction="sum")), abs=1e-3
    )
    assert float(reverse) == pytest.approx(
        float(div(p.log(), q, reduction="sum")), abs=1e-3
    )
    assert forward != reverse


def test_the_humps_can_be_moved() -> None:
    """Else the page's humps would be tested four times."""
    for number in ("Normal(-2,", "Normal(2,", "tensor(0.4)", "tensor(0.6)"):
        assert BELLS.count(number) == 1


@HUMPS
def test_one_covers_and_one_seeks(
    left: float, right: float, share: float
) -> None:
    names = bells(left, right, share)
    x, log_p = names["x"], names["log_p"]
    covers, seeks = names["covers"], names["seeks"]
    # the bell nearest in KL(p || q) has the mean and the spread of p
    mean, spread = moments(x, log_p)
    assert moments(x, covers) == pytest.approx((mean, spread), abs=0.1)
    valley = log_p[(x > left) & (x < right)].argmin() + int((x <= left).sum())
    assert covers[valley] > log_p[valley] + 1
    # the one nearest in KL(q || p) is the larger hump
    larger, other = (left, right) if share > 0.5 else (right, left)
    assert moments(x, seeks) == pytest.approx((larger, 0.7), abs=0.1)
    near_other = (x - other).abs() < 0.7
    assert float(seeks[near_other].exp().sum()) < 0.001
    assert float(covers[near_other].exp().sum()) > 0.05


def test_with_one_hump_both_agree() -> None:
    """The control: the split needs a q that is too simple for p."""
    names = bells(1, 1, 0.5)
    assert names["forward"].argmin() == names["reverse"].argmin()
