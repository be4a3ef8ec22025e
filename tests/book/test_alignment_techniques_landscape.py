"""What the lesson says about its figures and numbers.

Where chance is at work, on four seeds; every claim stands beside a control
in which the mechanism is taken out.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from snippets import preference as p

SEEDS = pytest.mark.parametrize("seed", [1, 2, 3, 4])
BETAS = torch.tensor([0.1, 0.5], dtype=torch.float64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def dpo() -> Tensor:
    return p.two_arms(partial(p.dpo_loss, beta=BETAS), 2, 1.0, 20_000)


class TestRunaway:
    def test_dpo_never_settles(self, dpo):
        assert (dpo[[100, 1000, 20_000]].diff(dim=0) > 4).all()
        assert (dpo.diff(dim=0) > 0).all()
        assert dpo[-1, 0] > 59
        assert torch.sigmoid(-dpo[-1, 0]) < 1e-25

    def test_a_larger_beta_leads_first_and_crosses_near_100(self, dpo):
        assert dpo[10, 1] > 3 * dpo[10, 0]
        behind = (dpo[1:, 0] > dpo[1:, 1]).nonzero()[0] + 1
        assert 50 < behind < 150

    def test_the_approximation_holds(self, dpo):
        said = (1 + 2 * BETAS**2 * 20_000).log() / BETAS
        assert ((dpo[-1] - said) / said).abs().max() < 0.01

    def test_the_flow_of_small_steps(self):
        eta = 0.01
        path = p.two_arms(partial(p.dpo_loss, beta=BETAS), 2, eta, 10_000)
        t = torch.tensor([100, 1000, 10_000])[:, None]
        h = path[t[:, 0]]
        flow = h + torch.expm1(BETAS * h) / BETAS
        torch.testing.assert_close(
            flow, 2 * eta * BETAS * t, rtol=0.01, atol=0
        )

    def test_ipo_does_settle(self):
        path = p.two_arms(partial(p.ipo_loss, tau=BETAS), 2, 0.1, 200)
        torch.testing.assert_close(path[-1], 1 / (2 * BETAS))

    def test_an_uncertain_label_would_hold_dpo(self):
        """The control: it is the certainty that makes DPO run."""

        def soft(h: Tensor) -> Tensor:
            lost = p.dpo_loss(-h, BETAS)
            return 0.9 * p.dpo_loss(h, BETAS) + 0.1 * lost

        path = p.two_arms(soft, 2, 1.0, 20_000)
        best = torch.tensor(9.0).log() / BETAS
        torch.testing.assert_close(path[-1], best, rtol=0, atol=1e-6)


def test_votes_average_to_the_straight_line():
    """Votes for and against a pair regress it to (p - 1/2) / tau."""
    share, tau = 0.7, 0.3

    def votes(h: Tensor) -> Tensor:
        against = p.ipo_loss(-h, tau)
        return share * p.ipo_loss(h, tau) + (1 - share) * against

    end = p.two_arms(votes, 1, 0.1, 200)[-1]
    win = torch.tensor([share], dtype=torch.float64)
    torch.testing.assert_close(end, p.psi_margin(win, lambda q: q, tau))
    torch.testing.assert_close(end, (win - 0.5) / tau)


class TestZoom:
    H = torch.linspace(-2, 6, 81, dtype=torch.float64)

    def pushes(self, beta: float) -> Tensor:
        up, zero = torch.tensor(True), torch.zeros(1, dtype=torch.float64)
        losses = [
            partial(p.dpo_loss, beta=beta),
            partial(p.ipo_loss, tau=beta),
            partial(p.hinge_loss, beta=beta),
            partial(p.kto_loss, good=up, z0=0.0, beta=beta),
        ]
        return torch.stack(
            [p.push(f, self.H) / p.push(f, zero) for f in losses]
        )

    def test_a_small_beta_shows_four_nearly_straight_lines(self):
        pushes = self.pushes(0.01)
        assert pushes.min() > 0.85
        assert pushes.diff(n=2, dim=1).abs().max() < 1e-4

    def test_a_large_one_tells_them_apart(self):
        at = self.pushes(1.0)[:, 40].tolist()  # h = 2
        dpo, ipo, hinge, kto = at
        assert ipo < hinge == 0 < dpo < kto < 0.5


class TestDisplacement:
    U = torch.tensor(
        [[0.9, 1, 0], [1.2, -1, 0.1], [1.15, -1.15, -0.3], [0, 0, 0]]
    ).double()
    z = torch.tensor([1.0, 0.3, 0.2]).double()

    def path(self, head: p.Head) -> Tensor:
        return p.displace(head, 1, 2, 1.0, 0.1, 200).exp()

    def test_the_chosen_answer_loses_to_its_opposite(self):
        head = p.Head(self.U, self.z)
        path = self.path(head)
        assert p.chosen_slope(head, 1, 2) < 0
        assert (path[:, 1].diff() < 0).all()
        assert (path[:, 0].diff() > 0).all()
        assert path[-1, 0] > 0.75
        margin = (path[:, 1] / path[:, 2]).log()
        assert (margin.diff() > 0).all()

    def test_a_table_with_the_same_start_does_not(self):
        table = p.Head(torch.eye(4).double(), self.U @ self.z)
        path = self.path(table)
        torch.testing.assert_close(
            path[0], self.path(p.Head(self.U, self.z))[0]
        )
        assert path[-1, 1] > 0.7
        assert (path[:, 0].diff() < 0).all()

    def test_nor_does_a_pair_that_is_unlike(self):
        """The control: "No" over "Yes", and the chosen answer gains."""
        head = p.Head(self.U, self.z)
        path = p.displace(head, 1, 0, 1.0, 0.1, 200).exp()
        assert p.chosen_slope(head, 1, 0) > 0
        assert path[-1, 1] > path[0, 1]


def gold(run: p.Run) -> float:
    return float(run.path[-1, 0].mean())


def on_few(run: p.Run) -> float:
    """Mass on answers with at most three verdicts."""
    return float((run.policy.exp() * (run.verdicts <= 3)).sum(-1).mean())


@SEEDS
class TestFreshAndStale:
    @pytest.fixture
    def run(self, seed: int):
        def run(
            rounds: int, labels=400, taste=1, beta=0.3, steps=320
        ) -> p.Run:
            generator = seeded(10 * seed)
            task = p.bandits(50, 200, generator)
            reference = (taste * task.reference).log_softmax(-1)
            task = p.Bandits(task.gold, reference)
            return p.preference_run(
                task, rounds, generator, labels, steps, beta
            )

        return run

    def test_fresh_verdicts_buy_more(self, run, seed):
        stale, fresh, online = run(1), run(8), run(80)
        assert gold(fresh) > gold(stale) + 0.6
        assert (fresh.path[-1, 0] > stale.path[-1, 0]).sum() >= 45
        assert abs(gold(online) - gold(fresh)) < 0.2

    def test_stale_ones_lead_at_a_kl_of_1(self, run, seed):
        def at_1(run: p.Run) -> np.ndarray:
            rows = run.path.permute(2, 1, 0).numpy()
            return np.array([np.interp(1.0, kl, gold) for gold, kl in rows])

        assert (at_1(run(1)) > at_1(run(8))).sum() >= 48

    def test_the_stale_policy_goes_where_few_verdicts_are(self, run, seed):
        assert on_few(run(1)) > 0.75
        assert on_few(run(8)) < 0.1

    def test_ten_times_as_many_stale_ones_catch_up(self, run, seed):
        """The control: cover the answers, and age does not matter."""
        more = run(1, 4000)
        assert abs(gold(more) - gold(run(8))) < 0.25
        assert on_few(more) < 0.25

    def test_part_of_that_is_distance(self, run, seed):
        (stale, kl), path = run(1).path[-1].mean(-1), run(8).path.mean(-1)
        there = np.interp(kl, path[:, 1], path[:, 0])
        assert stale + 0.1 < there < path[-1, 0] - 0.1

    def test_fresh_verdicts_only_buy_time(self, run, seed):
        assert gold(run(8, steps=1600)) < gold(run(8)) - 0.1

    def test_a_tight_leash_nearly_closes_the_gap(self, run, seed):
        stale, fresh = run(1, beta=1.0), run(8, beta=1.0)
        home, far = (x.path[-1, 1].mean() for x in (fresh, run(8)))
        assert 0.3 < home / far < 0.6  # fresh runs go half as far
        assert abs(gold(fresh) - gold(stale)) < 0.25
        assert gold(stale) > -0.2  # where the reference is at -0.6

    def test_it_is_not_the_references_taste(self, run, seed):
        """Turned around, it likes good answers, and the gap is wider."""
        gaps = [
            gold(run(8, taste=t)) - gold(run(1, taste=t)) for t in (1, -1)
        ]
        assert gaps[1] > gaps[0] + 0.3


def test_only_ipo_pulls_back_on_the_map():
    x = torch.linspace(-3, 6, 91, dtype=torch.float64)
    low, up = torch.full_like(x, -6.2), torch.tensor(True)
    pushes = {
        "DPO": p.push(lambda h: p.dpo_loss(h, 0.7), x),
        "IPO": p.push(lambda h: p.ipo_loss(h, 0.15), x),
        "SimPO": p.push(lambda w: p.simpo_loss(w, low, 2.0, 3.0), low + x),
        "ORPO": p.push(lambda w: p.orpo_loss(w, low, 0.5), low + x),
        "KTO": p.push(lambda r: p.kto_loss(r, up, 1.0, 1.2), x),
        "GRPO": p.push(lambda s: p.clipped_loss(s, 1.0), x / 8),
    }
    assert [name for name, push in pushes.items() if (push < 0).any()] == [
        "IPO"
    ]
