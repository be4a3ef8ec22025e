"""The reader's arithmetic against counting, integration and known truths."""

import math

import pytest
import torch

from snippets import reading


def generator(seed: int = 17) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("runs", [1, 3, 10])
def test_the_formula_is_what_trials_count(gap: float, runs: int) -> None:
    counted = reading.misranked_in_trials(gap, runs, 40_000, generator())
    assert reading.misranked(gap, runs) == pytest.approx(counted, abs=0.01)


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9, -0.5])
def test_pairing_narrows_the_gap(shared: float) -> None:
    a, own = torch.randn(2, 200_000, generator=generator())
    b = shared * a + math.sqrt(1 - shared**2) * own
    assert torch.corrcoef(torch.stack([a, b]))[0, 1] == pytest.approx(
        shared, abs=0.01
    )
    assert reading.spread(1, shared) == pytest.approx(
        float((a - b).std()), rel=0.01
    )


def test_limits_of_pairing() -> None:
    assert reading.misranked(0.0) == 0.5
    assert reading.misranked(0.1, shared=1.0) == 0.0
    assert reading.misranked(-0.1, shared=1.0) == 1.0
    with pytest.raises(ValueError, match="got 0 and 0"):
        reading.spread(0)
    with pytest.raises(ValueError, match=r"got 1 and 1\.5"):
        reading.misranked(1.0, shared=1.5)


def test_trend_and_scatter() -> None:
    x = torch.tensor([1.0, 2, 3, 5, 8, 13, 21, 34])
    exact = 3 - 2 * x.double().sqrt() + 0.25 * x.double()
    torch.testing.assert_close(reading.trend(x, exact), exact)
    many = torch.arange(1, 4001)
    bumpy = 0.3 * torch.randn(4000, generator=generator()).double()
    smooth = reading.trend(many, bumpy)
    assert reading.scatter(bumpy, smooth) == pytest.approx(0.3, rel=0.03)


def test_lowest_again() -> None:
    truth = torch.tensor([1.0, 1.0, 5.0])
    again = reading.lowest_again(truth, 0.1, 20_000, generator())
    torch.testing.assert_close(
        again, torch.tensor([0.5, 0.5, 0]), rtol=0, atol=0.02
    )
    sure = reading.lowest_again(truth + torch.arange(3), 0, 5, generator())
    assert sure.tolist() == [1, 0, 0]


def test_a_power_law_is_found_again() -> None:
    compute = torch.logspace(18, 20, 4, dtype=torch.float64)
    at = torch.logspace(20, 24, 3, dtype=torch.float64)
    for floor in (0.0, 1.7):
        loss = floor + 500 * compute[None] ** -0.1
        truth = floor + 500 * at[None] ** -0.1
        found = reading.power_law(compute, loss, at, [0, 0.8, 1.7])
        torch.testing.assert_close(found, truth)
    wrong = reading.power_law(compute, loss, at)  # control: no floor
    assert (wrong < truth)[:, 1:].all()


def test_each_trial_has_its_own_fit() -> None:
    compute = torch.logspace(18, 20, 4, dtype=torch.float64)
    losses = torch.stack([500 * compute**-0.1, 1 + 200 * compute**-0.1])
    together = reading.power_law(compute, losses, compute, [0, 1])
    torch.testing.assert_close(together, losses)


def test_a_floor_above_a_loss_is_refused() -> None:
    compute = torch.tensor([1e18, 1e19])
    with pytest.raises(ValueError, match="below every loss"):
        reading.power_law(compute, torch.tensor([[3.0, 2]]), compute, [2.5])


def test_chinchilla_is_its_paper_s_equation() -> None:
    # at a billion parameters and tokens: 10^(9 x .34) and 10^(9 x .28)
    billion = torch.tensor(1e9, dtype=torch.float64)
    by_hand = 1.69 + 406.4 / 10**3.06 + 410.7 / 10**2.52
    assert float(reading.chinchilla(billion, billion)) == pytest.approx(
        by_hand
    )
