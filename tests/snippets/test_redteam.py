"""Attacks, guards and bounds against closed forms and brute force."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from snippets import redteam as r
from snippets.smollm import Config, SmolLM, token_logprobs

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2, 3])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class StubGuard:
    """Flags what a function says."""

    def __init__(self, flagged):
        self.flagged = flagged

    def flags(self, texts):
        return torch.tensor([1.0 if self.flagged(t) else -1 for t in texts])


class TestDisguise:
    @pytest.mark.parametrize("trick", r.TRICKS)
    def test_it_draws_from_all_ways_and_from_no_others(self, trick):
        forms = [[c, *r.TRICKS[trick](c)] for c in r.WORD]
        possible = {"".join(f) for f in itertools.product(*forms)}
        g = seeded(1)
        drawn = {r.disguise(r.WORD, [trick], g) for _ in range(4000)}
        assert drawn == possible - {r.WORD}

    def test_a_letter_without_a_form_stays(self):
        assert r.disguise("xyz", ["look-alikes"], seeded(0)) == "xyz"

    @pytest.mark.parametrize("tricks", [["look-alikes"], list(r.TRICKS)])
    def test_their_chances_are_those_of_the_draws(self, tricks):
        chance = r.disguises(r.WORD, tricks)
        assert sum(chance.values()) == pytest.approx(1)
        g = seeded(0)
        drawn = Counter(r.disguise(r.WORD, tricks, g) for _ in range(20_000))
        assert set(drawn) <= set(chance)
        often = [word for word, p in chance.items() if p > 0.004]
        assert len(often) > 5
        for word in often:
            noise = 4 * (chance[word] / 20_000) ** 0.5
            assert abs(drawn[word] / 20_000 - chance[word]) < noise
        rare = sum(drawn[word] for word in set(chance) - set(often)) / 20_000
        expected = 1 - sum(chance[word] for word in often)
        assert rare == pytest.approx(expected, abs=0.015)

    def test_there_are_no_other_disguises(self):
        forms = [
            {c, *(f for t in r.TRICKS for f in r.TRICKS[t](c))}
            for c in r.WORD
        ]
        possible = {"".join(letters) for letters in itertools.product(*forms)}
        assert set(r.disguises(r.WORD, list(r.TRICKS))) == possible - {r.WORD}

    def test_the_undisguisable(self):
        assert r.disguises("xyz", ["look-alikes"]) == {"xyz": 1}

    def test_innocent_messages_are_plain_without_tricks(self):
        plain = {m.format(t) for m in r.MESSAGES for t in r.THINGS}
        assert set(r.innocent(100, [], seeded(0))) <= plain
        assert not set(r.innocent(100, ["marks"], seeded(0))) & plain
        assert r.WORD not in r.THINGS


class TestWays:
    @pytest.mark.parametrize("most", [0, 1, 2, 3])
    def test_brute_force(self, most):
        texts = itertools.product(range(5), repeat=3)  # 4 other forms
        changed = [sum(c > 0 for c in text) for text in texts]
        assert r.ways(3, 4, most) == sum(0 < c <= most for c in changed)

    def test_all_of_them(self):
        assert r.ways(20, 9, 20) == 10**20 - 1

    def test_refuses(self):
        with pytest.raises(ValueError, match="most from 0 to 3"):
            r.ways(3, 4, 4)


class TestGuard:
    def test_features_are_the_runs(self):
        X = r.features(["ab", "ba", "ab"])
        assert X.shape == (3, 513)
        assert torch.equal(X[0], X[2])
        # " ab ": 3 characters, 3 pairs and a last one, 2 triples and tails
        assert X[0].sum() <= 1 + len({" ", "a", "b", " a", "ab", "b ",
                                      " ab", "ab "})  # fmt: skip
        assert not torch.equal(X[0], X[1])

    def test_it_learns_the_word(self):
        good = r.innocent(300, [], seeded(0))
        half = r.MESSAGES[::2]
        guard = r.Guard([m.format(r.WORD) for m in half], good)
        rest = [m.format(r.WORD) for m in r.MESSAGES[1::2]]
        assert (guard.flags(rest) > 0).double().mean() > 0.6
        assert (guard.flags(r.innocent(300, [], seeded(1))) > 0).sum() < 6


@pytest.mark.parametrize("tricks", [["marks"], list(r.TRICKS)])
def test_exact_chances_are_the_limit_of_sampled_ones(tricks):
    guards = [
        r.Guard(
            [m.format(r.WORD) for m in r.MESSAGES[:k]],
            r.innocent(200, [], seeded(k)),
        )
        for k in (10, 30)
    ]
    messages = r.MESSAGES[:3]
    exact = r.exact_chances(guards, messages, tricks)
    assert exact.shape == (2, 3)
    assert not torch.equal(exact[0], exact[1])
    for guard, p in zip(guards, exact, strict=True):
        sampled = r.chances(guard, messages, tricks, 3000, seeded(0))
        torch.testing.assert_close(sampled, p, rtol=0, atol=0.04)


class TestFirstSuccess:
    def test_counts_to_the_first(self):
        seen: list[str] = []

        def third(text):
            seen.append(text)
            return len([t for t in seen if t[0] == text[0]]) != 3

        needed, found = r.first_success(
            StubGuard(third), ["a {}", "b {}"], ["marks"], 10, seeded(0)
        )
        assert needed.tolist() == [3, 3]
        assert found == seen[-2:]
        assert len(seen) == 6  # and no attempt after that

    def test_never(self):
        needed, found = r.first_success(
            StubGuard(lambda _: True), ["{}"], ["marks"], 5, seeded(0)
        )
        assert needed.tolist() == [math.inf]
        assert found == []

    def test_rate(self):
        needed = torch.tensor([1.0, 4, math.inf, 2])
        rates = [r.success_rate(needed, n) for n in (0, 1, 2, 3, 4, 1e9)]
        assert rates == [0, 0.25, 0.5, 0.5, 0.75, 0.75]
        with pytest.raises(ValueError, match="at least one message"):
            r.success_rate(torch.tensor([]), 1)


class TestRace:
    def test_alarms_are_among_the_same_people(self, monkeypatch):
        """A guard that never changes stops as many of them every time."""
        odd = StubGuard(lambda text: len(text) % 2)
        monkeypatch.setattr(r, "Guard", lambda bad, good: odd)
        race = r.arms_race(seeded(0), schedule=[1, 2, 5], tries=1)
        assert len({one.alarms for one in race}) == 1
        assert 0.3 < race[0].alarms < 0.7


class TestQuestions:
    def test_overlap(self):
        assert r.overlap(["What is it?", "what is it?"]) == 1
        assert r.overlap(["a b", "c d", "e f"]) == 0
        # (,a)(a,b)(b,) and (,a)(a,c)(c,): 1 of 5
        assert r.overlap(["a b", "a c"]) == pytest.approx(1 / 5)
        with pytest.raises(ValueError, match="two questions"):
            r.overlap(["alone"])

    def test_examples_follow_the_softmax(self):
        failure = torch.tensor([0.0, 0.05, 0.1, 0.15])
        lists = r.draw_examples(
            "abcd", failure.log(), 20_000, seeded(0), size=1
        )
        share = torch.tensor(
            [sum(x == [c] for x in lists) / 20_000 for c in "abcd"]
        )
        expected = (failure / 0.1).softmax(0)
        torch.testing.assert_close(share, expected, rtol=0, atol=0.015)

    def test_no_example_twice_in_a_list(self):
        lists = r.draw_examples("abcdef", torch.zeros(6), 50, seeded(0))
        assert all(len(set(x)) == 5 for x in lists)


@pytest.fixture(scope="module")
def tiny() -> SmolLM:
    torch.manual_seed(0)
    config = Config(
        vocab_size=40, dim=16, n_layers=2, n_heads=2, n_kv_heads=1,
        head_dim=8, ffn_dim=24, max_seq_len=64,
    )  # fmt: skip
    return SmolLM(config).double().requires_grad_(False)


PROMPT = r.Prompt([1, 2, 3], [4, 5], [6, 7, 8])
IDS = torch.tensor([10, 11, 12, 13])


class TestGradient:
    def test_loss_is_the_targets(self, tiny):
        whole = [*PROMPT.before, *IDS.tolist(), *PROMPT.after, *PROMPT.target]
        theirs = -token_logprobs(tiny, torch.tensor([whole]))[0, -3:].sum()
        ours = r.exact(tiny, IDS[None], PROMPT)[0]
        torch.testing.assert_close(ours, theirs)

    def test_batches_change_nothing(self, tiny):
        many = torch.randint(40, (7, 4), generator=seeded(0))
        torch.testing.assert_close(
            r.exact(tiny, many, PROMPT, batch=3),
            r.exact(tiny, many, PROMPT, batch=99),
        )

    @SEEDS
    def test_slope_by_differences(self, tiny, seed):
        """A small step from one token's vector toward another's."""
        gradient = r.token_gradient(tiny, IDS, PROMPT)
        assert gradient.shape == (4, 40)
        place, token = (
            int(torch.randint(n, (), generator=seeded(seed))) for n in (4, 40)
        )
        E = tiny.embed_tokens.weight

        def moved(step: float) -> Tensor:
            x = E[IDS].clone()
            x[place] += step * (E[token] - E[IDS[place]])
            return r.target_loss(tiny, x[None], PROMPT)[0]

        slope = (moved(1e-4) - moved(-1e-4)) / 2e-4
        estimate = gradient[place, token] - gradient[place, IDS[place]]
        torch.testing.assert_close(slope, estimate, rtol=1e-5, atol=1e-7)


class TestPropose:
    GRADIENT = torch.randn(4, 40, generator=torch.Generator().manual_seed(3))

    def test_one_swap_among_the_best(self):
        best = self.GRADIENT.argsort(-1)[:, :5]
        for row in r.propose(IDS, self.GRADIENT, 5, 200, seeded(0)):
            changed = (row != IDS).nonzero()[:, 0].tolist()
            assert len(changed) <= 1
            for place in changed:
                assert row[place] in best[place]

    def test_every_place_and_every_proposal(self):
        rows = r.propose(IDS, self.GRADIENT, 3, 4000, seeded(0))
        swaps = {
            (int(p), int(row[p])) for row in rows
            for p in (row != IDS).nonzero()[:, 0]
        }  # fmt: skip
        assert len(swaps) == 12
        places = torch.tensor([p for p, _ in swaps]).bincount()
        assert places.tolist() == [3, 3, 3, 3]
        often = (rows != IDS).double().mean(0)
        torch.testing.assert_close(
            often, torch.full((4,), 0.25).double(), rtol=0, atol=0.03
        )

    def test_what_is_forbidden_is_not_proposed(self):
        allowed = torch.arange(40) < 20
        slope = self.GRADIENT.masked_fill(~allowed, torch.inf)
        rows = r.propose(torch.zeros(4).long(), slope, 8, 500, seeded(0))
        assert rows.max() < 20


class TestSearch:
    def test_losses_are_those_of_the_path(self, tiny):
        allowed = torch.arange(40) > 8
        ids, losses = r.search(
            tiny, IDS, PROMPT, allowed, seeded(0), steps=4, k=8, width=6
        )
        assert ids.shape == (5, 4)
        assert (ids > 8).all()
        torch.testing.assert_close(losses, r.exact(tiny, ids, PROMPT))

    def test_a_gradient_finds_more(self, tiny):
        """Few candidates of many: there a slope is worth something."""
        allowed = torch.ones(40).bool()
        ends = {
            guided: [
                r.search(
                    tiny, IDS, PROMPT, allowed, seeded(seed), steps=6, k=4,
                    width=4, guided=guided,
                )[1].min()
                for seed in range(12)
            ]
            for guided in (True, False)
        }  # fmt: skip
        assert sum(ends[True]) < sum(ends[False])


class TestBeta:
    @pytest.mark.parametrize(("a", "b"), [(0.3, 5.0), (1, 1), (2, 9)])
    def test_monte_carlo(self, a, b):
        torch.manual_seed(0)
        p = torch.distributions.Beta(a, b).sample((400_000,)).double()
        for tries in (1, 7, 100):
            drawn = float((1 - (1 - p) ** tries).mean())
            assert r.beta_success(a, b, tries) == pytest.approx(
                drawn, abs=0.004
            )

    def test_uniform_chances(self):
        for tries in (1, 4, 99):
            assert r.beta_success(1, 1, tries) == pytest.approx(
                tries / (tries + 1)
            )

    @pytest.mark.parametrize("a", [0.1, 0.3, 1.0])
    def test_failures_fall_as_a_power(self, a):
        near, far = (1 - r.beta_success(a, 5, n) for n in (1e4, 2e4))
        assert math.log(far / near, 2) == pytest.approx(-a, abs=0.01)

    def test_fit(self):
        torch.manual_seed(0)
        p = torch.distributions.Beta(0.5, 8).sample((100_000,))
        a, b = r.fit_beta(p)
        assert a == pytest.approx(0.5, rel=0.05)
        assert b == pytest.approx(8, rel=0.05)
        with pytest.raises(ValueError, match="p that vary"):
            r.fit_beta(torch.full((3,), 0.2))


class TestBounds:
    @pytest.mark.parametrize("n", [1, 10, 50, 300, 3000])
    def test_zero_has_a_closed_form(self, n):
        exact = 1 - 0.05 ** (1 / n)
        assert r.upper_bound(0, n) == pytest.approx(exact, rel=1e-9)
        if n >= 50:
            assert 3 / n == pytest.approx(exact, rel=0.05)

    def test_all(self):
        assert r.upper_bound(5, 5) == 1

    @pytest.mark.parametrize("rate", [0.01, 0.1, 0.4])
    def test_it_covers(self, rate):
        """Over all that can happen, it is below the truth 5% of the time."""
        n = 60
        missed = sum(
            math.comb(n, k) * rate**k * (1 - rate) ** (n - k)
            for k in range(n + 1)
            if r.upper_bound(k, n) < rate
        )
        assert missed <= 0.05

    def test_refuses(self):
        with pytest.raises(ValueError, match="0 to 3 failures"):
            r.upper_bound(4, 3)

    def test_good_turing_is_right_on_average(self):
        weights = 1 / torch.arange(1, 201).double()
        share = weights / weights.sum()
        said, true = [], []
        for seed in range(300):
            draws = torch.multinomial(
                share, 100, replacement=True, generator=seeded(seed)
            )
            said.append(r.unseen([str(d) for d in draws.tolist()]))
            true.append(1 - float(share[draws.unique()].sum()))
        assert sum(said) / 300 == pytest.approx(sum(true) / 300, abs=0.01)

    def test_good_turing_by_hand(self):
        assert r.unseen(list("aabc")) == 0.5
        with pytest.raises(ValueError, match="at least one"):
            r.unseen([])


class TestCheck:
    def test_right(self):
        said = r.check_forecast(lambda p, n: float((1 - (1 - p) ** n).mean()))
        assert said.startswith("Right")

    def test_the_average_first(self):
        said = r.check_forecast(lambda p, n: float(1 - (1 - p.mean()) ** n))
        assert "30 tries" in said
        assert "after the power" in said

    def test_something_else(self):
        assert "expected" in r.check_forecast(lambda p, n: 0.5)
