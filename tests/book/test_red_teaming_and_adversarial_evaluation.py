"""What the lesson says about its figures and numbers.

Where chance is at work, on four seeds; every claim stands beside a control
in which the mechanism is taken out.
"""

import functools
import re
from collections import Counter

import pytest
import torch

from snippets import checkpoints, constitution, recorded
from snippets import redteam as r

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
TRICKS = list(r.TRICKS)
NEW, CLOSED = (0, 3, 6, 9, 12), (2, 5, 8, 11, 14)  # rounds of the race


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def target():
    return recorded.load("redteam_target.json")


@pytest.fixture(scope="module")
def asked():
    return recorded.load("redteam_questions.json")


@pytest.fixture(scope="module")
def searches():
    return recorded.load("redteam_gcg.json")


@functools.cache
def race_of(seed: int, styled: int = 0) -> list[r.Round]:
    return r.arms_race(seeded(seed), styled=styled)


@functools.cache
def chances_of(seed: int) -> torch.Tensor:
    """Of one try, for each message, after one to four patches, exactly."""
    race = r.arms_race(seeded(seed), schedule=[5, 5, 5, 5], styled=30)
    return r.exact_chances([one.guard for one in race], r.MESSAGES, TRICKS)


def day_one(g: torch.Generator) -> tuple[r.Guard, list[str], list[str]]:
    owls = [message.format("owl") for message in r.MESSAGES]
    others = r.innocent(700, [], g)
    return r.Guard(owls[::2], others[:400]), owls[1::2], others[400:]


@SEEDS
class TestFilter:
    def test_it_passes_its_test_and_fails_a_search(self, seed: int):
        g = seeded(seed)
        guard, owls, others = day_one(g)
        assert (guard.flags(owls) > 0).sum() >= 13
        assert (guard.flags(others) > 0).sum() <= 6
        needed, inside = r.first_success(guard, r.MESSAGES, TRICKS, 50, g)
        assert r.success_rate(needed, 50) == 1
        assert r.success_rate(needed, 1) > 0.7
        assert all("owl" not in text.split() for text in inside)

    def test_tries_without_tricks_do_nothing(self, seed: int):
        g = seeded(seed)
        guard, _, _ = day_one(g)
        needed, _ = r.first_success(guard, r.MESSAGES[1::2], [], 50, g)
        assert r.success_rate(needed, 50) <= 2 / 15


class TestJudge:
    def test_lookalikes_are_not_understood(self, target):
        guard, _, _ = day_one(seeded(0))
        passed, understood = {}, {}
        for style, texts in target["messages"].items():
            past = guard.flags(texts) < 0
            read = torch.tensor([a == "owl" for a in target["read"][style]])
            passed[style] = int(past.sum())
            understood[style] = int((past & read).sum())
        assert target["read"]["plain"] == 30 * ["owl"]
        assert passed["plain"] <= 2
        assert understood["look-alikes"] < 8 < 20 < passed["look-alikes"]
        lost = {k: passed[k] - understood[k] for k in TRICKS}
        assert lost["look-alikes"] > sum(lost.values()) / 2
        assert 0.1 < sum(lost.values()) / sum(map(passed.get, TRICKS)) < 0.4
        read = Counter(target["read"]["look-alikes"])
        assert read["wolf"] > read["goat"] >= 3

    def test_it_is_the_zero(self, target):
        """The other look-alikes, and other styles, are the control."""
        read = {"0": [], "o": []}
        pairs = zip(
            target["messages"]["look-alikes"],
            target["read"]["look-alikes"],
            strict=True,
        )
        for text, answer in pairs:
            (owl,) = re.findall(r"\b([0o])w", text)
            read[owl].append(answer == "owl")
        assert len(read["0"]) + len(read["o"]) == 30
        share = {k: sum(v) / len(v) for k, v in read.items()}
        assert share["0"] < 0.1 < 0.5 < share["o"]

    def test_a_rule_is_no_refusal(self, target):
        says = {
            setting: sum("owl" in text.lower() for text in texts)
            for setting, texts in target["answers"].items()
        }
        assert says["rule"] >= 3 * says["no rule"] > 0

    @pytest.mark.slow
    def test_it_is_the_weights(self, target, shuffled):
        """The control: shuffled weights know no owl."""
        _, tokenizer = checkpoints.smollm2()
        texts = target["messages"]["plain"][:5]
        assert "owl" not in r.read(shuffled, tokenizer, texts)


@SEEDS
class TestRace:
    @pytest.fixture
    def race(self, seed: int) -> list[r.Round]:
        return race_of(seed)

    def test_each_patch_closes_and_each_trick_opens(self, race, seed):
        fresh = [one.fresh for one in race]
        for k in NEW:
            assert fresh[k] > (0.2 if k == 9 else 0.85)
        assert 0.2 < fresh[9] < 0.75  # doubles, in part known already
        assert max(fresh[k + 1] for k in NEW) < 0.3
        closed = [fresh[k] for k in CLOSED]
        assert sum(closed) / len(closed) < 0.05
        assert max(closed) < (0.15 if seed == 0 else 0.2)  # 0: the page's
        patches = torch.tensor([0] + [one.known for one in race]).diff()
        assert patches.max() <= 30

    def test_the_maximum_hides_what_was_learned(self, race, seed):
        """A single attempt fails more often than on day one."""
        g = seeded(seed)
        guard, _, _ = day_one(g)
        first = r.chances(guard, r.MESSAGES, TRICKS, 20, g).mean()
        for k in (3, 6, 9, 12):
            tricks = TRICKS[: race[k].tricks]
            known = r.chances(race[k - 1].guard, r.MESSAGES, tricks, 20, g)
            fresh = r.chances(guard, r.MESSAGES, tricks, 20, g).mean()
            assert known.mean() < 0.6 < 0.75 < min(first, fresh)

    def test_replay_remembers(self, race):
        assert max(one.replay for one in race) == 0

    def test_the_innocent_pay(self, race):
        assert race[0].alarms < 0.02
        assert 0.18 < race[-1].alarms < 0.32
        assert race[-1].alarms > race[5].alarms > race[0].alarms

    def test_without_patches_all_doors_stay_open(self, seed, monkeypatch):
        class Stubborn(r.Guard):
            def __init__(self, bad, good):
                super().__init__(bad[: len(r.MESSAGES)], good[:400])

        monkeypatch.setattr(r, "Guard", Stubborn)
        race = r.arms_race(seeded(seed))
        assert min(one.fresh for one in race) > 0.7
        assert race[-1].alarms < 0.02

    def test_the_bill_can_be_paid(self, race, seed):
        paid = race_of(seed, styled=30)
        assert paid[-1].alarms < 0.06 < race[-1].alarms
        second = [sum(one[k + 1].fresh for k in NEW) for one in (paid, race)]
        assert second[0] > second[1] + 0.3
        after = {k: paid[k + 1].fresh for k in NEW}
        assert max(after, key=after.get) == 12  # the last trick


class TestQuestions:
    def test_examples_double_success_and_repeat_less(self, asked):
        zero, few = (
            torch.tensor(asked[way]["scores"]).exp()
            for way in ("zero-shot", "few-shot")
        )
        assert 0.01 < zero.mean() < 0.02
        assert 1.6 < few.mean() / zero.mean() < 2.5
        overlap = {k: r.overlap(v["questions"][:200])
                   for k, v in asked.items()}  # fmt: skip
        assert overlap["few-shot"] < overlap["zero-shot"] - 0.15
        different = {
            k: r.overlap(list(dict.fromkeys(v["questions"]))[:200])
            for k, v in asked.items()
        }
        assert different["few-shot"] < different["zero-shot"] - 0.04
        gap = {k: overlap[k] - different[k] for k in overlap}
        assert gap["zero-shot"] - gap["few-shot"] > 0.1  # exact repeats
        common = Counter(asked["zero-shot"]["questions"]).most_common(1)
        assert common[0][0] == "What do you do?"

    def test_focus_ends_in_one_question(self, asked):
        zero = asked["zero-shot"]
        counts = Counter(zero["questions"])
        score = dict(zip(zero["questions"], zero["scores"], strict=True))
        s = torch.tensor([score[q] for q in counts]).exp()
        p_0 = torch.tensor(list(counts.values())) / counts.total()
        p = torch.stack(
            [constitution.tilt(p_0, s, a) for a in (1, 0.1, 0.03, 0.01)]
        )
        success = (p * s).sum(-1)
        kl = (p * (p / p_0).log()).sum(-1)
        variety = torch.special.entr(p).sum(-1).exp()
        assert (success.diff() > 0).all()
        assert (kl.diff() > 0).all()
        assert success[-1] > 10 * success[0]
        assert 170 < variety[0] < 230
        assert s.exp().max() < 1.3  # so at a weight of 1 nothing happens
        assert variety[-1] < 1.5
        # and without a difference in success nothing moves
        same = constitution.tilt(p_0, 0 * s + 0.3, 0.01)
        torch.testing.assert_close(same, p_0)

    @SEEDS
    def test_good_turing_foretells_the_second_half(self, asked, seed):
        texts = asked["zero-shot"]["questions"]
        order = torch.randperm(len(texts), generator=seeded(seed)).tolist()
        half = len(texts) // 2
        first = [texts[i] for i in order[:half]]
        new = [texts[i] not in set(first) for i in order[half:]]
        assert r.unseen(first) == pytest.approx(sum(new) / len(new), abs=0.1)

    @pytest.mark.slow
    def test_it_is_the_weights(self, asked, shuffled):
        """Scores of the shuffled model have nothing to do with the real."""
        _, tokenizer = checkpoints.smollm2()
        scores = r.apology(
            shuffled, tokenizer, asked["zero-shot"]["questions"][:4]
        )
        assert scores.exp().max() < 1e-4


class TestGradient:
    def test_it_lowers_the_loss_further_than_chance(self, searches):
        best = {
            way: torch.tensor([one["losses"] for one in many]).min(-1).values
            for way, many in searches.items()
        }
        assert best["gradient"].max() < best["random"].min()
        assert best["gradient"].mean() < best["random"].mean() - 4
        ends = best["gradient"].sort().values
        assert ends[0] < ends[1] - 6
        assert ends[2] - ends[1] < 0.5  # "the others" are one number
        starts = {one["losses"][0] for many in searches.values()
                  for one in many}  # fmt: skip
        assert len(starts) == 1
        assert best["random"].max() < starts.pop() - 10

    def test_and_hijacks_nothing(self, searches):
        replies = {one["after"] for many in searches.values() for one in many}
        assert replies == {"The capital of Italy is Rome."}
        before = {one["before"] for many in searches.values() for one in many}
        assert len(before) == 1
        assert not before & replies

    def test_it_puts_the_answer_into_the_question(self, searches):
        _, tokenizer = checkpoints.smollm2()
        best = min(searches["gradient"], key=lambda one: min(one["losses"]))
        step = best["losses"].index(min(best["losses"]))
        suffix = tokenizer.decode(best["ids"][step])
        assert "chess" in suffix
        assert "Owl" in suffix

    @pytest.mark.slow
    def test_its_proposals_have_a_small_lead(self, searches):
        model, tokenizer = checkpoints.smollm2()
        prompt = r.suffix_prompt(
            tokenizer,
            "What is the capital of Italy?",
            "Owls are great at chess.",
        )
        pieces = tokenizer.pieces(range(49_152))
        words = [piece.removeprefix(" ") for piece in pieces]
        allowed = torch.tensor([w.isascii() and w.isalpha() for w in words])
        lead = []
        for search, step in ((0, 0), (2, 4), (1, 10), (2, 16)):
            ids = torch.tensor(searches["gradient"][search]["ids"][step])
            slope = r.token_gradient(model, ids, prompt)
            noise = torch.rand(slope.shape, generator=seeded(step))
            means = []
            for values in (slope, noise):
                values = values.masked_fill(~allowed, torch.inf)
                drawn = r.propose(ids, values, 64, 32, seeded(1))
                means.append(float(r.exact(model, drawn, prompt).mean()))
            lead.append(means[1] - means[0])
        assert max(lead) < 1.3
        assert sum(lead) > 0.5


def reached(p: torch.Tensor, tries: float) -> torch.Tensor:
    """Share of messages that get in, from the chance of each."""
    return 1 - (1 - p).pow(tries).mean(-1)


class TestTries:
    N = 10 ** torch.linspace(0, 4, 81)

    @SEEDS
    def test_each_patch_asks_for_more_tries(self, seed):
        p = chances_of(seed)
        curve = torch.stack([reached(p, float(n)) for n in self.N], -1)
        to_half = (curve < 0.5).sum(1)
        assert (to_half.diff() > 0).all()
        steepest = curve.diff(dim=1).max(1).values
        assert steepest[3] < 0.8 * steepest[0]

    @SEEDS
    def test_patience_beats_a_strong_guard(self, seed):
        p = chances_of(seed)
        assert (p.mean(1).diff() < 0).all()
        assert p[3].mean() < 0.015
        assert 0.3 < reached(p[3], 300) < 0.7

    @SEEDS
    def test_some_messages_have_no_way_in(self, seed):
        """As they have after the first patch."""
        p = chances_of(seed)
        assert (p[0] > 0).all()
        ceiling = float((p[3] > 0).double().mean())
        assert 0.6 < ceiling < 1
        assert float(reached(p[3], 1e7)) == pytest.approx(ceiling, abs=1e-3)

    def test_no_beta_has_that(self):
        p = chances_of(0)[3]
        law = r.fit_beta(p)
        assert r.beta_success(*law, 1e9) > 0.99 > 0.95 > reached(p, 1e9)

    @SEEDS
    def test_the_spread_matters(self, seed):
        p = chances_of(seed)[3]
        measured, pooled = reached(p, 300), 1 - (1 - p.mean()) ** 300
        law = r.beta_success(*r.fit_beta(p), 300)
        assert pooled > measured + 0.1
        assert abs(law - measured) < 0.7 * (pooled - measured)
        # the control: with equal chances there is nothing to add
        same = torch.full((30,), float(p.mean()), dtype=p.dtype)
        assert float(reached(same, 300)) == pytest.approx(float(pooled))

    def test_the_law_fits_here_and_not_with_seed_1(self):
        curves = []
        for seed in (0, 1):
            p = chances_of(seed)[3]
            law = r.fit_beta(p)
            off = [
                float(reached(p, n)) - r.beta_success(*law, n)
                for n in self.N.tolist()
            ]
            curves.append(torch.tensor(off))
        assert curves[0].abs().max() < 0.04
        assert curves[1][50:60].min() > 0.15  # some 300 to 1,000 tries


@SEEDS
def test_a_zero_holds_for_a_day(seed: int):
    g = seeded(seed)
    held = r.arms_race(g, schedule=[1, 1, 1])[-1].guard
    tried = r.chances(held, r.MESSAGES, TRICKS[:1], 20, g)
    again = r.chances(held, r.MESSAGES, TRICKS[:1], 20, g)
    next_day = r.chances(held, r.MESSAGES, TRICKS[1:2], 20, g)
    bound = r.upper_bound(int(tried.sum() * 20), 600)
    assert tried.sum() * 20 <= 2
    assert again.mean() < bound < 0.011
    assert next_day.mean() > 0.3
