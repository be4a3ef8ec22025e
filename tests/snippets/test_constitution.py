"""Labels, losses and selection, against closed forms and autograd."""

import math

import pytest
import torch

from snippets import constitution as c


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_case_asks_one_question_and_swaps_back():
    assert len(c.CASES) == 16
    assert len({case.question for case in c.CASES}) == 16
    for case in c.CASES:
        assert all(case)
        assert case.swapped() != case
        assert case.swapped().swapped() == case
        text = c.comparison(case, c.RULE)
        assert text.index(case.good) < text.index(case.bad)
        assert text.startswith(c.RULE)
        assert text.endswith("The better answer is (")


def test_a_soft_label_is_the_share_of_two_probabilities():
    log_a, log_b = torch.tensor([-1.0, -9.0]), torch.tensor([-2.5, -0.1])
    a, b = log_a.exp(), log_b.exp()
    torch.testing.assert_close(c.soft_label(log_a - log_b), a / (a + b))


class TestSwapping:
    quality = torch.linspace(-3, 3, 25)

    @pytest.mark.parametrize("average", [c.average_labels, c.average_leans])
    def test_both_treat_the_answers_alike(self, average):
        given, swapped = torch.randn(2, 50, generator=seeded(1))
        both = average(given, swapped) + average(swapped, given)
        torch.testing.assert_close(both, torch.ones(50))

    @pytest.mark.parametrize("bias", [-3.0, 0.5, 4.0])
    def test_averaged_leans_lose_any_bias(self, bias: float):
        label = c.average_leans(self.quality + bias, -self.quality + bias)
        torch.testing.assert_close(label, self.quality.sigmoid())

    def test_averaged_labels_keep_the_sign_and_shrink(self):
        true = torch.tensor([0.73]).logit()
        shrunk = c.average_labels(true - 3, -true - 3)
        assert 0.5 < shrunk < 0.56  # a true 0.73 under a bias of -3
        far = c.average_labels(true - 9, -true - 9)
        assert 0.5 < far < shrunk


class TestPreferenceLoss:
    def test_it_is_the_entropy_plus_a_divergence(self):
        """The cross-entropy of two coins, in another closed form."""
        p, delta = torch.tensor(0.3), torch.tensor(1.2)
        q = delta.sigmoid()
        entropy = -(p * p.log() + (1 - p) * (1 - p).log())
        kl = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
        torch.testing.assert_close(c.preference_loss(delta, p), entropy + kl)

    def test_a_hard_label_gives_the_loss_of_a_reward_model(self):
        delta = torch.linspace(-4, 4, 9)
        hard = c.preference_loss(delta, torch.ones(9))
        torch.testing.assert_close(hard, torch.log1p((-delta).exp()))

    def test_its_gradient_is_sigma_minus_p(self):
        delta = torch.linspace(-5, 5, 11, requires_grad=True)
        p = torch.linspace(0, 1, 11)
        c.preference_loss(delta, p).sum().backward()
        torch.testing.assert_close(delta.grad, delta.detach().sigmoid() - p)

    def test_it_is_least_at_the_log_odds(self):
        p = torch.tensor(0.6)
        deltas = torch.linspace(-2, 2, 4001)
        best = deltas[c.preference_loss(deltas, p).argmin()]
        assert float(best) == pytest.approx(math.log(1.5), abs=1e-3)

    def test_it_is_finite_far_out(self):
        delta = torch.tensor([-200.0, 200.0])
        loss = c.preference_loss(delta, torch.tensor([1.0, 0.0]))
        torch.testing.assert_close(loss, torch.tensor([200.0, 200.0]))


class TestClamp:
    def test_it_bounds_labels_and_leaves_the_rest(self):
        p = torch.tensor([0.01, 0.45, 0.99])
        torch.testing.assert_close(c.clamp(p), torch.tensor([0.4, 0.45, 0.6]))

    def test_bounds_make_sense(self):
        with pytest.raises(ValueError, match=r"0 <= low <= high <= 1"):
            c.clamp(torch.tensor([0.5]), 0.6, 0.4)


class TestFit:
    def test_true_probabilities_give_back_the_weights(self):
        w = torch.tensor([1.0, -2.0, 0.5]).double()
        X = c.comparisons(200, 3, seeded(2))
        found = c.fit(X, torch.sigmoid(X @ w), ridge=1e-9)
        torch.testing.assert_close(found, w, atol=1e-5, rtol=0)

    def test_it_stops_where_the_gradient_of_autograd_is_zero(self):
        X = c.comparisons(80, 4, seeded(3))
        labels = c.vote(torch.full((80,), 0.7).double(), seeded(4))
        w = c.fit(X, labels, ridge=0.1).requires_grad_()
        loss = (
            c.preference_loss(X @ w, labels).mean() + 0.05 * w.square().sum()
        )
        loss.backward()
        assert w.grad.abs().max() < 1e-10

    def test_certain_labels_keep_finite_weights(self):
        X = c.comparisons(50, 2, seeded(5))
        w = c.fit(X, (X[:, 0] > 0).double())
        assert w.isfinite().all()
        assert w[0] > 3 * w[1].abs()

    def test_one_label_a_pair(self):
        with pytest.raises(ValueError, match="3 labels, got 2"):
            c.fit(torch.zeros(3, 2), torch.zeros(2))


def test_comparisons_are_differences_of_two_normals():
    X = c.comparisons(20_000, 2, seeded(6))
    assert X.shape == (20_000, 2)
    assert float(X.var()) == pytest.approx(2, rel=0.03)


def test_kinds_of_labels():
    lean = torch.linspace(-3, 3, 4000).double()
    kinds = c.label_kinds(lean, seeded(7))
    torch.testing.assert_close(kinds["exact"], lean.sigmoid())
    assert set(kinds["one person"].unique().tolist()) == {0.0, 1.0}
    votes, chance = (
        kinds[k][lean > 2].mean() for k in ("one person", "exact")
    )
    assert float(votes) == pytest.approx(float(chance), abs=0.05)
    noise = kinds["judge"].logit() - lean
    assert float(noise.mean()) == pytest.approx(0, abs=0.06)
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    odds = kinds["judge"].logit()
    mild = odds.abs() < 4  # elsewhere five times as much rounds to 0 or 1
    five = kinds["sure judge"][mild].logit() / odds[mild]
    torch.testing.assert_close(five, torch.full_like(five, 5))
    assert kinds["clamped"].min() == 0.4
    assert kinds["clamped"].max() == 0.6


class TestBestOfN:
    def test_the_first_n_and_no_others(self):
        gold = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
        proxy = torch.tensor([[0.0, 5.0, 1.0, 9.0]])
        best = c.best_of_n(gold, proxy, [1, 2, 3, 4])
        assert best[:, 0].tolist() == [1, 2, 2, 4]

    def test_a_perfect_proxy_gives_the_expected_maximum(self):
        gold = torch.randn(4000, 2, generator=seeded(8))
        best = c.best_of_n(gold, gold, [2]).mean()
        assert float(best) == pytest.approx(1 / math.sqrt(math.pi), abs=0.05)

    def test_half_a_proxy_gives_its_regression(self):
        """E[gold | proxy] = proxy / 2 where the error is as large as gold."""
        gold, proxy = c.proxies(4000, 64, seeded(9))["light, independent"]
        best = c.best_of_n(gold, proxy, [64]).mean()
        expected = proxy.max(1).values.mean() / 2
        assert float(best) == pytest.approx(float(expected), rel=0.05)

    def test_shapes_agree(self):
        with pytest.raises(ValueError, match="a proxy of"):
            c.best_of_n(torch.zeros(2, 3), torch.zeros(2, 4), [1])

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_its_divergence_is_exact_where_no_answer_repeats(self, n: int):
        """KL of the density n F^(n-1) f to f, by quadrature."""
        u = (torch.arange(200_000).double() + 0.5) / 200_000
        density = n * u ** (n - 1)
        kl = (density * density.log()).mean()
        assert c.kl_best_of_n(n) == pytest.approx(float(kl), abs=1e-4)

    def test_n_is_positive(self):
        with pytest.raises(ValueError, match="n >= 1, got 0"):
            c.kl_best_of_n(0)


def test_proxies_err_as_they_say():
    kinds = c.proxies(500, 400, seeded(10))
    errors = {
        k: (proxy - gold).flatten() for k, (gold, proxy) in kinds.items()
    }
    gold = kinds["light, independent"][0].flatten()

    def together(error: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([error, gold]))[0, 1])

    assert abs(together(errors["light, independent"])) < 0.01
    assert together(errors["light, correlated"]) < -0.8
    heavy = errors["heavy, independent"]
    # P(|t_2| > x) = 1 - x / sqrt(x^2 + 2)
    for x in (1.0, 5.0, 20.0):
        expected = 1 - x / math.sqrt(x * x + 2)
        share = float((heavy.abs() > x).double().mean())
        assert share == pytest.approx(expected, rel=0.1)


class TestTilt:
    reference = torch.tensor([0.5, 0.3, 0.2]).double()
    reward = torch.tensor([0.0, 1.0, -2.0]).double()

    def objective(self, policy: torch.Tensor, beta: float) -> torch.Tensor:
        kl = (policy * (policy / self.reference).log()).sum(-1)
        return (policy * self.reward).sum(-1) - beta * kl

    @pytest.mark.parametrize("beta", [0.2, 1.0, 5.0])
    def test_no_policy_does_better(self, beta: float):
        best = self.objective(c.tilt(self.reference, self.reward, beta), beta)
        others = torch.distributions.Dirichlet(torch.ones(3).double())
        torch.manual_seed(11)
        assert (self.objective(others.sample((2000,)), beta) <= best).all()

    def test_a_margin_multiplies_odds(self):
        policy = c.tilt(self.reference, self.reward, 0.5)
        odds = (policy[1] / policy[0]) / (
            self.reference[1] / self.reference[0]
        )
        assert float(odds) == pytest.approx(math.exp(1 / 0.5))

    def test_beta_is_positive(self):
        with pytest.raises(ValueError, match="beta > 0, got 0"):
            c.tilt(self.reference, self.reward, 0)


def test_kept_counts_words_not_signs():
    assert c.kept("Run! Run now!", "run, now.") == 1
    assert c.kept("You can do it!", "You do.") == 0.5
    with pytest.raises(ValueError, match="at least one word"):
        c.kept("", "x")


class TestCheck:
    def test_a_right_answer_passes(self):
        assert "correct" in c.check_debiased(c.average_leans)

    @pytest.mark.parametrize(
        "answer",
        [
            c.average_labels,
            lambda g, s: g.sigmoid(),
            lambda g, s: (g - s).sigmoid(),
        ],
    )
    def test_a_wrong_one_is_told_what_is_wrong(self, answer):
        with pytest.raises(AssertionError, match="moves a label by"):
            c.check_debiased(answer)
