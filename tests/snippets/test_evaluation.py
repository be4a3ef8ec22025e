"""Scores and their uncertainty, against closed forms and brute force."""

import itertools
import math

import pytest
import torch

from snippets import checkpoints
from snippets import evaluation as e


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Letters:
    """A tokenizer with a token for each character."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def unigram(model, prompts, continuations):
    """A stand-in for `score`: -1 a letter, half that after a question."""
    assert len(prompts) == len(continuations)
    return [
        torch.full((len(text),), -0.5 if len(start) > 7 else -1.0)
        for start, text in zip(prompts, continuations, strict=True)
    ]


class TestQuestions:
    def test_all_have_four_choices_and_differ(self):
        assert len(e.QUESTIONS) == 32
        assert len({q.text for q in e.QUESTIONS}) == 32
        for q in e.QUESTIONS:
            assert q.text.endswith("?")
            assert len(set(q.choices)) == 4

    def test_a_twin_asks_the_same_in_other_words(self):
        assert len(e.TWINS) == e.LEAKED == 16
        for q, twin in zip(e.QUESTIONS[:16], e.TWINS, strict=True):
            assert twin.choices == q.choices
            assert twin.text != q.text
            assert twin.text.endswith("?")
        assert not {q.text for q in e.QUESTIONS} & {q.text for q in e.TWINS}

    def test_the_prompt_shows_choices_in_an_order(self):
        question = e.Question("Which?", ("good", "bad", "ugly", "none"))
        assert e.prompt(question) == "Question: Which?\nAnswer:"
        assert e.prompt(question, [2, 0, 3, 1]) == (
            "Question: Which?\nA. ugly\nB. good\nC. none\nD. bad\nAnswer:"
        )

    def test_rotations_put_each_choice_once_in_each_place(self):
        for places in zip(*e.rotations(4), strict=True):
            assert sorted(places) == [0, 1, 2, 3]
        for order in e.rotations(4):
            assert sorted(order) == [0, 1, 2, 3]


class TestScoring:
    question = e.Question("Which?", ("a", "bbb"))

    def test_log_probabilities_are_of_the_choice_alone(self, monkeypatch):
        monkeypatch.setattr(e, "score", unigram)
        asked, alone, tokens = e.choice_logprobs(
            None, Letters(), [self.question, self.question]
        )
        assert tokens.tolist() == [[2, 4], [2, 4]]  # with the space
        assert alone.tolist() == [[-2, -4], [-2, -4]]
        assert asked.tolist() == [[-1, -2], [-1, -2]]

    def test_the_four_rules(self):
        asked = torch.tensor([[-6.0, -8.0]])
        alone = torch.tensor([[-5.0, -9.0]])
        tokens, size = torch.tensor([[2, 4]]), torch.tensor([[3, 16]])
        rules = e.scoring_rules(asked, alone, tokens, size)
        assert {name: x.tolist()[0] for name, x in rules.items()} == {
            "sum": [-6, -8],
            "per token": [-3, -2],
            "per character": [-2, -0.5],
            "PMI": [-1, 1],
        }

    def test_characters_are_not_bytes(self):
        assert e.characters([e.Question("?", ("é", "ab"))]).tolist() == [
            [1, 2]
        ]

    def test_letters_are_read_after_the_prompt(self):
        """Batched and one by one, by two ways through the model."""
        model, tokenizer = checkpoints.smollm2()
        questions, order = e.QUESTIONS[:2], [3, 0, 1, 2]
        got = e.letter_logprobs(model, tokenizer, questions, order)
        for row, question in zip(got, questions, strict=True):
            ids = tokenizer.encode(e.prompt(question, order))
            logp = model(torch.tensor([ids]))[0, -1].log_softmax(-1)
            for value, letter in zip(row, "ABCD", strict=True):
                [token] = tokenizer.encode(f" {letter}")
                assert float(value) == pytest.approx(
                    float(logp[token]), abs=1e-3
                )


def test_wilson() -> None:
    """Eight of ten, and none of ten (Wilson 1927; any table)."""
    low, high = e.wilson(torch.tensor([8.0, 0.0]), 10)
    assert low.tolist() == pytest.approx([0.4902, 0.0], abs=1e-4)
    assert high.tolist() == pytest.approx([0.9433, 0.2775], abs=1e-4)
    with pytest.raises(ValueError, match="tries > 0, got 0"):
        e.wilson(torch.tensor(0), 0)


class TestStandardErrors:
    scores = torch.tensor([1.0, 0, 1, 1, 0, 1, 1, 0]).double()

    def test_of_ones_and_zeros(self):
        p, n = 5 / 8, 8
        wanted = math.sqrt(p * (1 - p) / (n - 1))
        assert float(e.standard_error(self.scores)) == pytest.approx(wanted)
        with pytest.raises(ValueError, match="at least two scores, got 1"):
            e.standard_error(self.scores[:1])

    def test_paired_is_the_formula_with_a_correlation(self):
        """[Bars] Section 4.2, SE_A^2 + SE_B^2 - 2 SE_A SE_B Corr."""
        a, b = torch.randn(2, 50, generator=seeded(1)).double()
        b = b + a
        A, B = e.standard_error(a), e.standard_error(b)
        corr = torch.corrcoef(torch.stack([a, b]))[0, 1]
        wanted = (A**2 + B**2 - 2 * A * B * corr).sqrt()
        torch.testing.assert_close(e.standard_error(a - b), wanted)
        assert wanted < (A**2 + B**2).sqrt()

    def test_clustered_by_brute_force(self):
        """The double sum of [Bars] Equation 4, term by term."""
        cluster = torch.tensor([2, 0, 2, 1, 1, 2, 0, 1])
        off = self.scores - self.scores.mean()
        extra = sum(
            off[i] * off[j]
            for i, j in itertools.permutations(range(8), 2)
            if cluster[i] == cluster[j]
        )
        wanted = (e.standard_error(self.scores) ** 2 + extra / 64).sqrt()
        got = e.clustered_error(self.scores, cluster)
        torch.testing.assert_close(got, wanted)
        both = e.clustered_error(torch.stack([self.scores] * 2), cluster)
        torch.testing.assert_close(both, got.expand(2))

    def test_clusters_of_one_change_nothing(self):
        torch.testing.assert_close(
            e.clustered_error(self.scores, torch.arange(8)),
            e.standard_error(self.scores),
        )

    def test_copies_are_worth_one_question(self):
        """Each question asked five times: the error is that of one."""
        many = self.scores.repeat_interleave(5)
        cluster = torch.arange(8).repeat_interleave(5)
        got = float(e.clustered_error(many, cluster))
        wanted = float(e.standard_error(self.scores))
        assert got == pytest.approx(wanted, rel=1 / 8)
        assert float(e.standard_error(many)) < wanted / 2

    def test_refuses(self):
        with pytest.raises(ValueError, match="8 numbers of clusters"):
            e.clustered_error(self.scores, torch.arange(3))


class TestSimulations:
    def test_two_models_share_their_questions(self):
        first, second = e.two_models(400, 100, 0.1, seeded(1))
        assert {*first.unique().tolist(), *second.unique().tolist()} <= {0, 1}
        # the gain is cut off where 1 is reached: 0.1 - 0.1^2 / 2
        assert float((first - second).mean()) == pytest.approx(
            0.095, abs=0.01
        )
        both = torch.corrcoef(
            torch.stack([first.flatten(), second.flatten()])
        )
        assert 0.25 < both[0, 1] < 0.4  # 1/3 without a gain

    def test_passages(self):
        scores, cluster = e.passages(500, 10, 4, seeded(1))
        assert scores.shape == (500, 40)
        assert cluster.bincount().tolist() == [4] * 10
        assert float(scores.mean()) == pytest.approx(1 / 3, abs=0.02)
        grouped = scores.unflatten(1, (10, 4))
        within = (grouped[..., 0] * grouped[..., 1]).mean()
        across = (grouped[:, 0] * grouped[:, 1]).mean()
        assert float(within) == pytest.approx(1 / 5, abs=0.02)  # E[U^4]
        assert float(across) == pytest.approx(1 / 9, abs=0.02)


class TestPassAtK:
    def test_by_drawing_all_subsets(self):
        n = 6
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            draws = list(itertools.combinations(range(n), k))
            hit = sum(min(draw) < c for draw in draws) / len(draws)
            got = float(e.pass_at_k(n, torch.tensor(c), k))
            assert got == pytest.approx(hit)

    @pytest.mark.parametrize("p", [0.05, 0.3, 0.8])
    @pytest.mark.parametrize("k", [1, 4, 12])
    def test_is_unbiased_and_the_plug_in_too_low(self, p: float, k: int):
        true = 1 - (1 - p) ** k
        mean, _ = e.moments(e.pass_at_k, p, 12, k)
        low, _ = e.moments(e.plug_in, p, 12, k)
        assert float(mean) == pytest.approx(true, abs=1e-12)
        if k == 1:
            assert float(low) == pytest.approx(true, abs=1e-12)
        else:
            assert float(low) < true

    def test_moments_by_sampling(self):
        c = torch.bernoulli(
            torch.full((100_000, 20), 0.1), generator=seeded(1)
        ).sum(-1)
        for estimate in (e.pass_at_k, e.plug_in):
            values = estimate(20, c, 10)
            mean, sd = e.moments(estimate, 0.1, 20, 10)
            assert float(values.mean()) == pytest.approx(
                float(mean), abs=0.005
            )
            assert float(values.std()) == pytest.approx(float(sd), abs=0.005)

    def test_keeps_small_differences(self):
        """1e5 samples: binomials would overflow a float."""
        assert float(e.pass_at_k(10**5, torch.tensor(1), 1)) == pytest.approx(
            1e-5, rel=1e-9
        )

    def test_refuses(self):
        for k in (0, 6):
            with pytest.raises(ValueError, match="1 <= k <= 5"):
                e.pass_at_k(5, torch.tensor(1), k)


class TestRatings:
    rating = torch.tensor([120.0, 0.0, -120.0]).double()
    even = torch.tensor([300.0, 300.0, 300.0]).double()

    def test_two_models_have_a_closed_form(self):
        """75 wins in 100: the log-odds are log 3."""
        zeros = torch.zeros(100, dtype=torch.long)
        won = (torch.arange(100) < 75).double()
        votes = e.Votes(zeros, zeros + 1, torch.zeros(100).double(), won)
        fitted, gamma = e.rate(votes, 2)
        assert float(fitted[0] - fitted[1]) == pytest.approx(
            400 * math.log10(3), abs=1e-3
        )
        assert gamma == 0

    def test_the_arena_keeps_to_its_law(self):
        votes = e.arena(self.rating, self.even, 0.0, 60_000, seeded(1))
        assert (votes.first != votes.second).all()
        meets = (votes.first == 0) & (votes.second == 2)
        share = float(votes.won[meets].mean())
        assert share == pytest.approx(1 / (1 + 10 ** (-240 / 400)), abs=0.02)
        assert float(votes.style.std()) == pytest.approx(1)
        pairs = (votes.first * 3 + votes.second).bincount(minlength=9)
        wanted = [x if i % 4 else 0 for i, x in enumerate([10_000] * 9)]
        assert pairs.tolist() == pytest.approx(wanted, abs=400)

    def test_style_is_found_and_taken_out(self):
        length = torch.tensor([300.0, 300.0, 900.0]).double()
        votes = e.arena(self.rating, length, 0.8, 30_000, seeded(2))
        plain, none = e.rate(votes, 3)
        controlled, gamma = e.rate(votes, 3, control=True)
        assert none == 0
        assert gamma == pytest.approx(0.8, abs=0.06)
        assert float((controlled - self.rating).abs().max()) < 25
        assert float(plain[2] - controlled[2]) > 60

    def test_elo_by_hand(self):
        votes = e.Votes(
            torch.tensor([0, 1]),
            torch.tensor([1, 0]),
            torch.zeros(2),
            torch.tensor([1.0, 1.0]),
        )
        # The first game moves both by 4 * 1/2; then 1 beats the favorite 0.
        gain = 4 * (1 - 1 / (1 + 10 ** (4 / 400)))
        got = e.elo(votes, 2)
        assert got.tolist() == pytest.approx([2 - gain, gain - 2], abs=1e-6)

    def test_the_bootstrap_has_the_fits_own_error(self):
        """Against the inverse Fisher information of two models."""
        zeros = torch.zeros(400, dtype=torch.long)
        won = (torch.arange(400) < 240).double()
        votes = e.Votes(zeros, zeros + 1, torch.zeros(400).double(), won)
        rows = e.bootstrap(votes, 2, 200, seeded(1))
        wanted = (400 * 0.6 * 0.4) ** -0.5 / e.ELO
        gap = rows[:, 0] - rows[:, 1]
        assert float(gap.std()) == pytest.approx(wanted, rel=0.15)


class TestContamination:
    def test_the_document_has_questions_and_right_answers(self):
        text = e.document(e.QUESTIONS[:2])
        assert text == (
            f"Question: {e.QUESTIONS[0].text}\n"
            f"Answer: {e.QUESTIONS[0].choices[0]}\n\n"
            f"Question: {e.QUESTIONS[1].text}\n"
            f"Answer: {e.QUESTIONS[1].choices[0]}\n\n"
        )

    def test_gains_come_and_go(self):
        model, tokenizer = checkpoints.smollm2()
        orders, questions = [[0, 1], [1, 0]], e.QUESTIONS[:2]

        def ask() -> torch.Tensor:
            return e.order_logprobs(model, tokenizer, questions, orders)

        before = ask()
        assert before[0] != before[1]
        gains = torch.nn.utils.parameters_to_vector(e.norm_gains(model))
        assert len(gains) == 35_136
        given = 1.1 * gains.detach()
        kept = given.clone()
        with e.with_gains(model, given):
            assert (ask() - before).abs().min() > 1
            for parameter in e.norm_gains(model):
                parameter.data.mul_(2)  # a training step, in place
        torch.testing.assert_close(given, kept)
        torch.testing.assert_close(ask(), before)

    def test_p_is_uniform_where_the_order_is_exchangeable(self):
        draws = torch.randn(4000, 20, generator=seeded(1))
        p = e.permutation_p(draws[:, 0], draws[:, 1:])
        for step in range(1, 21):
            share = float((p <= step / 20 + 1e-9).double().mean())
            assert share == pytest.approx(step / 20, abs=0.03)

    def test_p_is_never_zero(self):
        assert float(
            e.permutation_p(torch.tensor(1.0), torch.zeros(19))
        ) == pytest.approx(1 / 20)


class TestChoosing:
    def test_observed_scores_are_binomial(self):
        scores = e.observed(
            torch.full((20_000,), 0.6).double(), 50, seeded(1)
        )
        assert float(scores.mean()) == pytest.approx(0.6, abs=0.003)
        wanted = math.sqrt(0.6 * 0.4 / 50)
        assert float(scores.std()) == pytest.approx(wanted, rel=0.03)

    def test_expected_max_has_closed_forms(self):
        assert e.expected_max(1) == pytest.approx(0, abs=1e-6)
        assert e.expected_max(2) == pytest.approx(
            1 / math.sqrt(math.pi), abs=1e-6
        )
        assert e.expected_max(3) == pytest.approx(
            1.5 / math.sqrt(math.pi), abs=1e-6
        )
        with pytest.raises(ValueError, match="n >= 1, got 0"):
            e.expected_max(0)

    def test_questions_needed_give_that_power(self):
        n = round(e.questions_needed(0.1, 0.25, power=0.8))
        draws = 0.1 + 0.5 * torch.randn(4000, n, generator=seeded(1))
        z = draws.mean(-1) / e.standard_error(draws)
        found = float((z > 1.96).double().mean())
        assert found == pytest.approx(0.8, abs=0.03)
        with pytest.raises(ValueError, match="delta != 0"):
            e.questions_needed(0.0, 1.0)


class TestCheck:
    def test_takes_the_paired_error(self):
        def compare(a, b):
            d = a - b
            return d.mean(), d.std() / len(d) ** 0.5

        assert e.check_compare(compare).startswith("correct: 0.0")

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (lambda a, b: (a - b).mean(), "return a tuple"),
            (lambda a, b: ((b - a).mean(), 1.0), "the difference of"),
            (
                lambda a, b: (
                    (a - b).mean(),
                    (e.standard_error(a) ** 2 + e.standard_error(b) ** 2)
                    ** 0.5,
                ),
                "for different questions",
            ),
            (lambda a, b: ((a - b).mean(), (a - b).std()), "paired error is"),
        ],
    )
    def test_says_what_is_wrong(self, answer, message: str):
        with pytest.raises(AssertionError, match=message):
            e.check_compare(answer)
