"""Losses, against limits, autograd and closed forms; toys, against math."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from snippets import preference as p
from snippets.constitution import preference_loss


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def close(one: Tensor, other: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=atol)


H = torch.linspace(-6, 6, 49, dtype=torch.float64)
BETAS = pytest.mark.parametrize("beta", [0.05, 0.3, 2.0])
MARGIN_LOSSES = [p.dpo_loss, p.ipo_loss, p.hinge_loss]


class TestLossesOfAMargin:
    @BETAS
    def test_dpo_is_the_reward_models_loss_on_implicit_rewards(self, beta):
        sure = torch.ones_like(H)
        close(p.dpo_loss(H, beta), preference_loss(beta * H, sure))
        close(
            p.dpo_loss(H, beta),
            binary_cross_entropy_with_logits(
                beta * H, sure, reduction="none"
            ),
        )

    @BETAS
    def test_pushes_are_what_the_page_says(self, beta):
        close(
            p.push(lambda h: p.dpo_loss(h, beta), H),
            beta * (-beta * H).sigmoid(),
        )
        close(p.push(lambda h: p.ipo_loss(h, beta), H), 1 / beta - 2 * H)
        open_ = (beta * H < 1).double()
        close(p.push(lambda h: p.hinge_loss(h, beta), H), beta * open_)

    @pytest.mark.parametrize("loss", MARGIN_LOSSES)
    @BETAS
    def test_beta_is_a_zoom(self, loss, beta):
        """As multiples of loss and push at 0, only beta times h counts."""
        zero = torch.zeros(1, dtype=torch.float64)

        def seen(b: float) -> tuple[Tensor, Tensor]:
            at = lambda h: loss(h, b)  # noqa: E731
            return (
                at(H / b) / at(zero), p.push(at, H / b) / p.push(at, zero)
            )  # fmt: skip

        for here, there in zip(seen(beta), seen(1.0), strict=True):
            inside = (H - 1).abs() > 1e-6  # the kink of the hinge
            close(here[inside], there[inside], 1e-10)

    def test_all_push_up_from_zero_and_only_ipo_back(self):
        far = torch.tensor([30.0], dtype=torch.float64)
        for loss in MARGIN_LOSSES:
            at = lambda h: loss(h, 0.2)  # noqa: B023, E731
            assert p.push(at, 0 * far) > 0
            assert (p.push(at, far) < 0) == (loss is p.ipo_loss)
        assert p.push(lambda h: p.dpo_loss(h, 0.2), far) > 0

    def test_the_pool_of_dpo_is_log_2_for_every_beta(self):
        """All of its push above 0, integrated, is its loss at 0."""
        for beta in (0.1, 1.0):
            loss = partial(p.dpo_loss, beta=beta)
            h = torch.linspace(0, 60 / beta, 200_001, dtype=torch.float64)
            pool = torch.trapezoid(p.push(loss, h), h)
            assert float(pool) == pytest.approx(math.log(2), abs=1e-6)

    @pytest.mark.parametrize("loss", MARGIN_LOSSES)
    @pytest.mark.parametrize("h", [-1e5, 1e5])
    def test_finite_where_a_probability_is_0_or_1(self, loss, h):
        at = torch.tensor([h])  # float32
        assert loss(at, 0.5).isfinite().all()
        assert p.push(lambda x: loss(x, 0.5), at).isfinite().all()

    @pytest.mark.parametrize("loss", MARGIN_LOSSES)
    def test_beta_may_be_a_tensor(self, loss):
        betas = torch.tensor([0.1, 0.5])
        both = loss(torch.tensor([2.0, 3.0]), betas)
        close(both[1:], loss(torch.tensor([3.0]), 0.5))


class TestPsi:
    P = torch.tensor([0.5, 0.6, 0.9, 0.999], dtype=torch.float64)

    @pytest.mark.parametrize("tau", [0.1, 0.7])
    def test_the_logit_gives_dpos_optimum(self, tau: float):
        close(p.psi_margin(self.P, torch.logit, tau), self.P.logit() / tau)
        h = self.P.logit() / tau  # where soft DPO has no slope
        slope = p.push(lambda h: preference_loss(tau * h, self.P), h)
        close(slope, torch.zeros(4, dtype=torch.float64))

    @pytest.mark.parametrize("tau", [0.1, 0.7])
    def test_the_identity_gives_ipos_target(self, tau: float):
        sure = torch.ones(1, dtype=torch.float64)
        best = p.psi_margin(sure, lambda q: q, tau)
        close(best, sure / (2 * tau))
        close(p.push(lambda h: p.ipo_loss(h, tau), best), 0 * sure)

    def test_it_is_the_maximum(self):
        """Against a search over all policies of two answers."""
        tau, win = 0.4, 0.8
        first = torch.linspace(0.001, 0.999, 99_801, dtype=torch.float64)
        both = torch.stack([first, 1 - first], -1)
        # against an opponent who answers like the reference, half and half
        values = (
            both @ torch.tensor([(win + 0.5) / 2, (1.5 - win) / 2]).double()
        )
        kl = (both * (2 * both).log()).sum(-1)
        best = first[(values - tau * kl).argmax()].logit()
        expected = p.psi_margin(torch.tensor(win), lambda q: q, tau)
        assert float(best) == pytest.approx(float(expected), abs=1e-4)

    def test_only_the_logit_runs_away(self):
        nearly = torch.tensor([1 - 1e-12], dtype=torch.float64)
        assert p.psi_margin(nearly, torch.logit, 0.5) > 50
        assert p.psi_margin(nearly, lambda q: q, 0.5) < 1.0


class TestKTO:
    RHO = torch.linspace(-20, 20, 81, dtype=torch.float64)

    @pytest.mark.parametrize("good", [True, False])
    @BETAS
    def test_slope(self, good: bool, beta: float):
        kind = torch.full(self.RHO.shape, good)
        push = p.push(
            lambda rho: p.kto_loss(rho, kind, 1.5, beta, (2.0, 3.0)), self.RHO
        )
        bump = (beta * (self.RHO - 1.5)).sigmoid()
        bump = beta * bump * (1 - bump)
        close(push, 2.0 * bump if good else -3.0 * bump)

    def test_limits(self):
        far = torch.tensor([-1e4, 1e4])
        good = torch.tensor([True, True])
        assert p.kto_loss(far, good, 0.0, 0.1).tolist() == [1, 0]
        assert p.kto_loss(far, ~good, 0.0, 0.1).tolist() == [0, 1]
        push = p.push(lambda rho: p.kto_loss(rho, good, 0.0, 0.1), far)
        assert push.tolist() == [0, 0]

    def test_thumbs_mirror_each_other(self):
        good = torch.ones_like(self.RHO).bool()
        up, down = p.kto_loss(self.RHO, good, 0.0, 0.4), p.kto_loss(
            -self.RHO, ~good, 0.0, 0.4
        )  # fmt: skip
        close(up, down)

    def test_reference_point(self):
        rho = torch.tensor([1.0, 2.0, -0.6], requires_grad=True)
        z0 = p.reference_point(rho)
        assert float(z0) == pytest.approx(0.8)
        assert not z0.requires_grad
        assert p.reference_point(-rho) == 0
        with pytest.raises(ValueError, match="at least one"):
            p.reference_point(torch.tensor([]))


class TestWithoutReference:
    LOGP = torch.linspace(-6, -0.01, 40, dtype=torch.float64)

    def test_log_odds(self):
        P = self.LOGP.exp()
        close(p.log_odds(self.LOGP), (P / (1 - P)).log(), 1e-10)
        close(p.log_odds(self.LOGP), P.logit(), 1e-10)

    @pytest.mark.parametrize("logp", [-1e4, -1e-30, 0.0])
    def test_finite_near_0_and_1(self, logp: float):
        """float32; log1p(-exp(x)) would be minus infinity at -1e-30."""
        there = torch.tensor([logp], requires_grad=True)
        other = torch.tensor([-1.0])
        for loss in (
            p.orpo_loss(there, other, 0.5), p.orpo_loss(other, there, 0.5),
            p.simpo_loss(there, other, 2.0, 1.0),
        ):  # fmt: skip
            assert loss.isfinite().all()
            (slope,) = torch.autograd.grad(loss.sum(), there)
            assert slope.isfinite().all()

    def test_orpo(self):
        w, l = self.LOGP, self.LOGP.flip(0) / 2  # noqa: E741
        P, Q = w.exp(), l.exp()
        ratio = P / (1 - P) / (Q / (1 - Q))
        close(p.orpo_loss(w, l, 0.7), -w + 0.7 * (1 + 1 / ratio).log(), 1e-10)
        push = p.push(lambda w: p.orpo_loss(w, l, 0.7), w)
        close(push, 1 + 0.7 / (1 + ratio) / (1 - P), 1e-9)
        assert (push > 1).all()  # the SFT term never lets go

    def test_orpo_without_contrast_is_finetuning(self):
        close(p.orpo_loss(self.LOGP, self.LOGP, 0.0), -self.LOGP)

    def test_simpo_is_dpo_with_another_zero(self):
        w, l = normal(0, 2, 20) - 3  # noqa: E741
        close(
            p.simpo_loss(w, l, 2.5, 1.0), p.dpo_loss(w - l - 1.0 / 2.5, 2.5)
        )
        push = p.push(lambda w: p.simpo_loss(w, l, 2.5, 1.0), w)
        close(push, 2.5 * (1.0 - 2.5 * (w - l)).sigmoid())

    def test_positive_log_probabilities_are_refused(self):
        with pytest.raises(ValueError, match="log-probabilities"):
            p.log_odds(torch.tensor([0.1]))


class TestGroups:
    def test_two_answers_are_a_verdict(self):
        rewards = normal(1, 30, 2)
        close(
            p.group_advantages(rewards),
            rewards.diff().sign() * torch.tensor([-1.0, 1.0]).double(),
        )

    def test_standardized(self):
        a = p.group_advantages(3 + 5 * normal(2, 4, 9))
        close(a.mean(-1), torch.zeros(4).double())
        close((a**2).mean(-1), torch.ones(4).double())

    def test_refuses_what_says_nothing(self):
        with pytest.raises(ValueError, match="2 or more"):
            p.group_advantages(torch.ones(3, 1))
        with pytest.raises(ValueError, match="differ"):
            p.group_advantages(torch.ones(1, 4))

    def test_clip(self):
        step = torch.tensor([-1.0, -0.1, 0.0, 0.1, 1.0], dtype=torch.float64)
        good = p.push(lambda s: p.clipped_loss(s, 2.0), step)
        close(good, 2 * torch.tensor([1, 1, 1, 1, 0]) * step.exp())
        bad = p.push(lambda s: p.clipped_loss(s, -2.0), step)
        close(bad, -2 * torch.tensor([0, 1, 1, 1, 1]) * step.exp())


class TestTwoArms:
    def test_dpo_follows_the_solution_of_its_flow(self):
        """Its margin and time: h + (e^bh - 1) / b = 2 rate b t."""
        beta = 0.5
        path = p.two_arms(lambda h: p.dpo_loss(h, beta), 1, 0.01, 5000)[:, 0]
        time = (path + torch.expm1(beta * path) / beta) / (2 * 0.01 * beta)
        steps = torch.arange(5001).double()
        assert ((time - steps)[100:] / steps[100:]).abs().max() < 0.01

    @pytest.mark.parametrize("tau", [0.1, 0.5])
    def test_ipo_is_a_straight_contraction(self, tau: float):
        path = p.two_arms(lambda h: p.ipo_loss(h, tau), 1, 0.1, 60)[:, 0]
        left = (1 - 0.4) ** torch.arange(61).double()
        close(path, (1 - left) / (2 * tau), 1e-10)

    def test_ipo_diverges_when_the_step_is_too_long(self):
        path = p.two_arms(lambda h: p.ipo_loss(h, 0.5), 1, 0.51, 300)[:, 0]
        assert path[-1].abs() > 10

    def test_runs_do_not_meet(self):
        betas = torch.tensor([0.1, 0.5]).double()
        both = p.two_arms(lambda h: p.dpo_loss(h, betas), 2, 1.0, 20)
        alone = p.two_arms(lambda h: p.dpo_loss(h, 0.5), 1, 1.0, 20)
        close(both[:, 1:], alone)


class TestDisplacement:
    def test_the_slope_is_the_first_step(self):
        for seed in range(20):
            head = p.Head(normal(seed, 6, 3), normal(seed + 50, 3))
            path = p.displace(head, 1, 2, beta=1.0, rate=1e-4, steps=1)
            moved = path[1, 1] - path[0, 1]
            expected = 1e-4 * 0.5 * p.chosen_slope(head, 1, 2)
            assert float(moved) == pytest.approx(
                float(expected), rel=0.01, abs=1e-8
            )

    def test_the_slope_against_autograd(self):
        U, hidden = normal(0, 5, 3), normal(1, 3).requires_grad_()
        log_probs = p.Head(U, hidden).log_probs()
        (along,) = torch.autograd.grad(log_probs[0], hidden)
        close(along @ (U[0] - U[1]), p.chosen_slope(p.Head(U, hidden), 0, 1))

    def test_a_table_always_raises_the_chosen(self):
        for seed in range(20):
            table = p.Head(torch.eye(5).double(), 2 * normal(seed, 5))
            probs = table.log_probs().exp()
            close(p.chosen_slope(table, 0, 3), 1 - probs[0] + probs[3])
            path = p.displace(table, 0, 3, 1.0, 0.1, 30)
            assert (path[:, 0].diff() > 0).all()
            assert (path[:, 3].diff() < 0).all()

    def test_the_margin_always_rises(self):
        for seed in range(20):
            head = p.Head(normal(seed, 6, 3), normal(seed + 50, 3))
            path = p.displace(head, 1, 2, 1.0, 0.02, 30)
            assert ((path[:, 1] - path[:, 2]).diff() > 0).all()


class TestBandits:
    def test_the_reference_has_it_backwards(self):
        task = p.bandits(2, 5000, seeded(0))
        for gold, reference in zip(*task, strict=True):
            both = torch.corrcoef(torch.stack([gold, reference]))
            assert float(both[0, 1]) == pytest.approx(-(0.5**0.5), abs=0.03)
            assert float(reference.exp().sum()) == pytest.approx(1)

    def test_the_judge_is_bradley_terry(self):
        policy = torch.tensor([[0.2, 0.3, 0.5]]).double()
        gold = torch.tensor([[0.0, 1.0, -1.0]]).double()
        w, l = p.judge(policy.log(), gold, 200_000, seeded(1))  # noqa: E741
        met = ((w == 0) & (l == 1)) | ((w == 1) & (l == 0))
        assert float(met.double().mean()) == pytest.approx(0.12, abs=0.01)
        won = (w[met] == 1).double().mean()
        assert float(won) == pytest.approx(1 / (1 + math.exp(-1)), abs=0.01)

    def test_measure(self):
        task = p.bandits(3, 7, seeded(2))
        close(p.measure(task.reference, task)[1], torch.zeros(3).double())
        logits = normal(3, 3, 7)
        gold, kl = p.measure(logits, task)
        policy = logits.log_softmax(-1)
        same = torch.nn.functional.kl_div(
            task.reference, policy, reduction="none", log_target=True
        )
        close(kl, same.sum(-1))
        close(gold, torch.einsum("pk,pk->p", policy.exp(), task.gold))

    def test_a_run_starts_at_the_reference_and_pays_for_every_label(self):
        task = p.bandits(2, 20, seeded(4))
        run = p.preference_run(task, 4, seeded(5), labels=40, steps=8)
        path = run.path
        assert path.shape == (9, 2, 2)
        close(path[0], p.measure(task.reference, task))
        assert (path[1:, 1] > 0).all()
        close(path[-1], p.measure(run.policy, task))
        assert run.verdicts.sum(-1).tolist() == [80, 80]
        with pytest.raises(ValueError, match="equal rounds"):
            p.preference_run(task, 7, seeded(5))

    def test_labels_come_from_the_policy_of_the_round(self, monkeypatch):
        seen = []
        judge = p.judge

        def listen(policy, gold, pairs, generator):
            seen.append((policy.clone(), pairs))
            return judge(policy, gold, pairs, generator)

        monkeypatch.setattr(p, "judge", listen)
        task = p.bandits(2, 20, seeded(4))
        p.preference_run(task, 4, seeded(5), labels=40, steps=8)
        assert [pairs for _, pairs in seen] == [10] * 4
        close(seen[0][0], task.reference)
        moved = [(a - b).abs().max() for (a, _), (b, _) in pairwise(seen)]
        assert min(moved) > 0.01

    def test_with_enough_labels_dpo_finds_the_closed_form(self):
        """Many labels: the tilted reference of the same beta."""
        task = p.bandits(3, 4, seeded(6))
        run = p.preference_run(
            task, 1, seeded(7), labels=60_000, steps=600, beta=1.0
        )
        close(run.path[-1], p.best_trade(task, [1.0])[0], 0.06)

    def test_nothing_beats_the_best_trade(self):
        task = p.bandits(2, 12, seeded(8))
        betas = (3.0, 1.0, 0.3)
        best = p.best_trade(task, betas)
        assert (best.diff(dim=0) > 0).all()
        for seed in range(40):
            gold, kl = p.measure(task.reference + normal(seed, 2, 12), task)
            for beta, (g, k) in zip(betas, best, strict=True):
                assert (gold - beta * kl < g - beta * k).all()


class TestExercises:
    def test_kto_push(self):
        def right(rho, z0, beta):
            s = torch.sigmoid(beta * (rho - z0))
            return beta * s * (1 - s)

        assert p.check_kto_push(right).startswith("correct")
        for wrong in (
            lambda rho, z0, beta: -right(rho, z0, beta),
            lambda rho, z0, beta: right(rho, z0, beta) / beta,
            lambda rho, z0, beta: right(rho, 0.0, beta),
            lambda rho, z0, beta: beta * torch.sigmoid(-beta * (rho - z0)),
        ):
            with pytest.raises(AssertionError, match="off by"):
                p.check_kto_push(wrong)
