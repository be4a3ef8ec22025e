"""What the lesson says about its figures and numbers.

Where chance is at work, on four seeds; every claim stands beside a control
in which the mechanism is taken out.
"""

import re

import pytest
import torch

from snippets import checkpoints, recorded
from snippets import constitution as c

SEEDS = pytest.mark.parametrize("seed", [1, 2, 3, 4])
CROWD = torch.tensor([-2.0, 1.0, 1.0]).double()
RULE = torch.tensor([-2.0, 1.0, -1.0]).double()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def asked() -> dict[str, torch.Tensor]:
    return recorded.load("constitution_verdicts.safetensors")


@SEEDS
class TestChangeOfRule:
    COUNTS = (2000, 3500, 4000, 4500, 6000)

    def evasion(self, seed: int, after: torch.Tensor = RULE) -> list[float]:
        runs = [
            c.change_of_rule(CROWD, after, 2000, self.COUNTS, seeded(s))
            for s in range(20 * seed, 20 * seed + 20)
        ]
        return torch.stack(runs).mean(0)[:, 2].tolist()

    def test_it_takes_as_many_again_to_get_back_to_zero(self, seed: int):
        old, before, at, past, last = self.evasion(seed)
        assert old == pytest.approx(1, abs=0.05)
        assert before > 0.05 > abs(at)
        assert past < 0
        assert last > -0.4  # far from the new standard, -1

    def test_without_a_change_it_stays(self, seed: int):
        assert min(self.evasion(seed, CROWD)) > 0.95


@pytest.fixture(scope="module")
def rounds() -> dict[str, list[list[str]]]:
    return recorded.load("constitution_revisions.json")


class TestRevision:
    @staticmethod
    def shouts(replies: list[str]) -> float:
        return sum(reply.count("!") for reply in replies) / len(replies)

    def kept(self, rows: list[list[str]], k: int) -> float:
        return sum(map(c.kept, rows[0], rows[k])) / len(rows[0])

    def test_every_reply_shouts_twice(self, rounds):
        for way in rounds.values():
            assert way[0] == c.REPLIES
            assert {reply.count("!") for reply in way[0]} == {2}

    def test_the_first_round_does_nearly_all_there_is(self, rounds):
        for way in rounds.values():
            first, last = self.shouts(way[1]), self.shouts(way[4])
            assert 2 * 0.5 < first < 2 * 0.65
            assert first - last < 0.15

    def test_a_critique_loses_more_and_gains_nothing(self, rounds):
        with_, without = rounds["with critique"], rounds["without"]
        for k in (1, 2, 3, 4):
            assert self.shouts(with_[k]) >= self.shouts(without[k])
            assert self.kept(with_, k) < self.kept(without, k)
        assert self.kept(without, 4) > 0.9

    def test_one_revision_is_copied_from_the_examples(self, rounds):
        copied = [
            reply
            for reply in rounds["without"][1]
            if reply in {revision for _, revision in c.EXAMPLES}
        ]
        assert copied == [rounds["without"][1][9]]
        assert "coffee" in rounds["without"][0][9]

    @pytest.mark.slow
    def test_every_critique_is_the_examples(self):
        model, tokenizer = checkpoints.smollm2()
        said: list[str] = []
        original = c.complete

        def listen(*args, **options):
            result = original(*args, **options)
            said.extend(result)
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(c, "complete", listen)
            c.revise(model, tokenizer, c.REPLIES[:4])
        assert {text.strip() for text in said[:4]} == {c.CRITIQUE}


class TestHabit:
    def test_the_editor_votes_for_b_whatever_it_is(self, asked):
        first, second = asked["polite, two examples"]
        assert (first > 0).sum() == 0
        assert (second < 0).sum() == 16
        habit, content = (first + second) / 2, (first - second) / 2
        assert habit.mean() < -4 * content.mean() < 0

    def test_both_orders_together_find_the_good_answer(self, asked):
        first, second = asked["polite, two examples"]
        assert (c.average_leans(first, second) > 0.5).sum() == 15
        assert (c.average_labels(first, second) > 0.5).sum() == 15

    def test_it_does_not_read_the_rule(self, asked):
        """Reversing the rule moves it less than leaving the rule out."""
        lean = {
            rule: asked[f"{rule}, two examples"].diff(dim=0)[0] / -2
            for rule in ("polite", "rude", "none")
        }
        assert (lean["rude"] > 0).sum() == 15
        assert (lean["none"] > 0).sum() >= 14
        assert abs(lean["rude"].mean() - lean["polite"].mean()) < 0.01
        assert lean["rude"].mean() > 0.05

    @pytest.mark.slow
    def test_reversed_examples_do_not_turn_it_either(self):
        model, tokenizer = checkpoints.smollm2()
        letters = str.maketrans("AB", "BA")
        shots = re.sub(
            r"is \([AB]\)", lambda m: m[0].translate(letters), c.SHOTS
        )
        assert shots != c.SHOTS
        for rule in (c.RULE, c.REVERSED_RULE):
            first, second = (
                c.verdicts(
                    model,
                    tokenizer,
                    [c.comparison(case, rule, shots) for case in cases],
                )
                for cases in (c.CASES, [x.swapped() for x in c.CASES])
            )
            assert (first > second).sum() >= 13
            habit = (first + second).mean() / 2
            assert abs(habit) < 0.2  # -0.6 with the letters as they are

    def test_without_examples_the_habit_turns_around(self, asked):
        first, second = asked["polite, no example"]
        assert (first > 0).sum() > 12
        assert (second < 0).sum() < 4
        assert (first > second).sum() < 15

    @pytest.mark.slow
    def test_it_is_the_weights(self, shuffled):
        """The control: shuffled weights find the good answer by chance."""
        _, tokenizer = checkpoints.smollm2()
        first, second = (
            c.verdicts(
                shuffled, tokenizer, [c.comparison(x, c.RULE) for x in cases]
            )
            for cases in (c.CASES, [x.swapped() for x in c.CASES])
        )
        assert (first > second).sum() < 14


@SEEDS
class TestKindsOfLabels:
    @pytest.fixture
    def trials(self, seed: int) -> dict[str, torch.Tensor]:
        runs = [c.label_trial(seeded(40 * seed + s)) for s in range(30)]
        return {k: torch.tensor([r[k] for r in runs]) for k in runs[0]}

    def test_a_probability_teaches_more_than_a_verdict(self, trials, seed):
        ranked = {k: float(v[:, 0].mean()) for k, v in trials.items()}
        assert ranked.pop("exact") > 0.99
        assert ranked.pop("judge") > max(ranked.values()) + 0.01
        assert max(ranked.values()) < 0.95

    def test_a_clamp_changes_the_scale_and_hardly_the_ranking(
        self, trials, seed
    ):
        sure, clamped = (trials[k].mean(0) for k in ("sure judge", "clamped"))
        assert abs(sure[0] - clamped[0]) < 0.03
        assert 10 < sure[1] / clamped[1] < 15


@SEEDS
class TestGoodhart:
    COUNTS = tuple(2**k for k in range(13))

    @pytest.fixture
    def chosen(self, seed: int) -> dict[str, torch.Tensor]:
        drawn = c.proxies(1000, 4096, seeded(seed))
        return {
            kind: c.best_of_n(gold, proxy, self.COUNTS).mean(-1)
            for kind, (gold, proxy) in drawn.items()
        }

    def test_a_light_independent_error_spoils_nothing(self, chosen, seed):
        curve = chosen["light, independent"]
        assert (curve.diff() > -0.1).all()
        assert curve[-1] > 2.4

    def test_heavy_tails_spoil_it_in_the_end(self, chosen, seed):
        curve = chosen["heavy, independent"]
        peak = int(curve.argmax())
        assert 2 <= peak <= 6
        assert curve[peak] > 0.55
        assert curve[-1] < 0.3 * curve[peak]

    def test_a_correlated_error_spoils_it_from_the_start(self, chosen, seed):
        curve = chosen["light, correlated"]
        assert curve[1] < curve[0] - 0.15
        assert (curve.diff() < 0.1).all()
        assert curve[-1] < -1.3


@pytest.mark.parametrize("seed", [12345, 6, 7, 8])  # the first is the page's
def test_lighter_tails_peak_later(seed: int):
    gold = torch.randn(1000, 4096, generator=seeded(1))
    torch.manual_seed(seed)
    counts = TestGoodhart.COUNTS
    peaks = []
    for degrees in (2, 5, 30):
        error = torch.distributions.StudentT(degrees).sample(gold.shape)
        best = c.best_of_n(gold, gold + error, counts).mean(-1)
        peaks.append(int(best.argmax()))
    assert peaks == sorted(peaks)
    assert peaks[0] < peaks[1] < peaks[2] == len(counts) - 1
