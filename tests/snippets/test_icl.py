"""The in-context learning snippets against loops, limits and brute force."""

import copy
import re

import pytest
import torch
from torch import Tensor

from snippets import icl
from snippets.smollm import Config, SmolLM


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


class Words:
    """A tokenizer with one token for a word, a newline or a sign."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        tokens = re.findall(r" ?\w+| ?->|\n|:", text)
        return [self.ids.setdefault(token, len(self.ids)) for token in tokens]


@pytest.fixture(scope="module")
def model() -> SmolLM:
    """Three layers of four heads, with random weights."""
    torch.manual_seed(5)
    model = SmolLM(
        Config(
            vocab_size=300, dim=32, n_layers=3, n_heads=4, n_kv_heads=2,
            head_dim=8, ffn_dim=48,
        )
    )  # fmt: skip
    return model.requires_grad_(False)


class TestLinearAttention:
    def test_entry_by_entry(self) -> None:
        E, layer = normal(0, 4, 3), icl.Attention(*normal(1, 4, 3, 3))
        updated = icl.linear_attention(E, layer)
        for j in range(4):
            expected = E[j].clone()
            for i in range(3):  # the last token is the query
                value, key = layer.Wv @ E[i], layer.Wk @ E[i]
                expected += layer.P @ value * (key @ (layer.Wq @ E[j]))
            torch.testing.assert_close(updated[j], expected)

    @pytest.mark.parametrize(("Nx", "Ny"), [(5, 1), (4, 3)])
    @pytest.mark.parametrize("scale", [0.0, 1.0])
    def test_one_layer_is_one_gradient_step(
        self, Nx: int, Ny: int, scale: float
    ) -> None:
        """Proposition 1, for the query and for every example."""
        X, Y = normal(0, 7, 21, Nx), normal(1, 7, 21, Ny)
        W0, eta = scale * normal(2, Ny, Nx), 0.7
        E = icl.regression_tokens(X, Y, W0)
        E = icl.linear_attention(E, icl.gd_attention(W0, eta, 20))
        W1 = icl.gradient_step(W0, X[:, :-1], Y[:, :-1], eta)
        torch.testing.assert_close(
            icl.prediction(E, Ny),
            (X[:, -1:] @ W1.mT)[:, 0],
            atol=1e-12,
            rtol=0,
        )
        moved = Y[:, :-1] - X[:, :-1] @ (W1 - W0).mT  # y - ΔW x
        torch.testing.assert_close(E[:, :-1, Nx:], moved, atol=1e-12, rtol=0)
        assert torch.equal(E[..., :Nx], X)

    @pytest.mark.parametrize("scale", [0.0, 1.0])
    def test_layers_are_steps(self, scale: float) -> None:
        X, Y = icl.regression_tasks(6, 15, 4, seeded(3))
        W0 = scale * normal(2, 1, 4)
        E = icl.regression_tokens(X, Y, W0)
        layer = icl.gd_attention(W0, 1, 15)
        W = W0.expand(6, 1, 4)
        for _ in range(5):
            E = icl.linear_attention(E, layer)
            W = icl.gradient_step(W, X[:, :-1], Y[:, :-1], 1)
            expected = (X[:, -1:] @ W.mT)[:, 0]
            torch.testing.assert_close(icl.prediction(E), expected)

    def test_gradient_is_autograd(self) -> None:
        X, Y, W0 = normal(0, 9, 4), normal(1, 9, 2), normal(2, 2, 4)
        W = W0.clone().requires_grad_()
        ((X @ W.T - Y) ** 2).sum().div(2 * 9).backward()
        assert W.grad is not None
        expected = W0 - 0.3 * W.grad
        torch.testing.assert_close(icl.gradient_step(W0, X, Y, 0.3), expected)

    def test_the_query_target_is_not_in_the_tokens(self) -> None:
        X, Y = icl.regression_tasks(1, 6, 3, seeded(0))
        W0 = normal(1, 1, 3)
        other = Y.clone()
        other[:, -1] = 100
        first, second = (icl.regression_tokens(X, t, W0) for t in (Y, other))
        assert torch.equal(first, second)

    def test_tasks(self) -> None:
        X, Y = icl.regression_tasks(4000, 6, 3, seeded(0))
        assert X.shape == (4000, 7, 3)
        assert Y.shape == (4000, 7, 1)
        assert float(X.min()) >= -1
        assert float(X.max()) <= 1
        assert float(X.var()) == pytest.approx(1 / 3, abs=0.01)
        w = torch.linalg.lstsq(X, Y).solution  # no noise: found exactly
        torch.testing.assert_close(X @ w, Y)
        assert float(w.mean()) == pytest.approx(0, abs=0.03)
        assert float(w.var()) == pytest.approx(1, abs=0.05)
        assert torch.equal(X, icl.regression_tasks(4000, 6, 3, seeded(0))[0])

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match=r"sizes above 0, got \(0, 5\)"):
            icl.regression_tasks(0, 5, 3, seeded(0))
        X, Y = torch.zeros(4, 3), torch.zeros(5, 1)
        with pytest.raises(ValueError, match=r"Y for X \(4, 3\), got \(5, 1"):
            icl.regression_tokens(X, Y, torch.zeros(1, 3))


class TestBayes:
    def test_ridge_is_least_squares_with_extra_examples(self) -> None:
        X, Y = normal(0, 6, 8, 3), normal(1, 6, 8, 2)
        extra = 0.5 * torch.eye(3).double().expand(6, 3, 3)
        rows = torch.cat([X, extra], 1)
        wanted = torch.cat([Y, torch.zeros(6, 3, 2).double()], 1)
        expected = torch.linalg.lstsq(rows, wanted).solution.mT
        torch.testing.assert_close(icl.ridge(X, Y, 0.25), expected)

    def test_ridge_with_a_huge_penalty_is_one_gradient_step(self) -> None:
        X, Y = normal(0, 8, 3), normal(1, 8, 1)
        penalty = 1e9
        step = icl.gradient_step(
            torch.zeros(1, 3).double(), X, Y, eta=8 / penalty
        )
        torch.testing.assert_close(
            icl.ridge(X, Y, penalty), step, rtol=1e-6, atol=0
        )

    def test_posterior_of_one_of_two_coins(self) -> None:
        """Heads twice favor the 0.9 coin over the 0.3 coin by 9 to 1."""
        flips = torch.tensor([[0.3, 0.9], [0.3, 0.9]]).double()
        prior = torch.tensor([0.5, 0.5]).double()
        posterior = icl.task_posterior(prior, flips)
        torch.testing.assert_close(
            posterior, torch.tensor([0.1, 0.9]).double()
        )
        nothing = icl.task_posterior(prior, flips[:0])
        assert torch.equal(nothing, prior)

    @staticmethod
    def solve(coins: Tensor, prior: Tensor, flips: list[int]) -> float:
        seen = torch.stack([coins if f else 1 - coins for f in flips])\
            if flips else coins.new_ones(0, 3)  # fmt: skip
        return float(icl.task_posterior(prior, seen) @ coins)

    def test_check_takes_a_right_answer(self) -> None:
        assert icl.check_next_heads(self.solve).startswith("correct")

    def test_check_refuses_counting(self) -> None:
        def count(coins: Tensor, prior: Tensor, flips: list[int]) -> float:
            return (sum(flips) + 1) / (len(flips) + 2)

        with pytest.raises(AssertionError, match=r"\[\]: 0.5333, got 0.5"):
            icl.check_next_heads(count)

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match="penalty > 0, got 0"):
            icl.ridge(torch.ones(2, 2), torch.ones(2, 1), 0)


class TestPrompts:
    ROWS = (
        [("hot", "cold"), ("big", "small"), ("up", "down")],
        [("wet", "dry"), ("a very long", "short"), ("old", "new")],
    )

    def test_layout(self) -> None:
        words = Words()
        prompts = icl.lay_out(words, self.ROWS)
        text = "hot ->" + " cold" + "\nbig ->" + " small" + "\nup ->"
        ids = words.encode(text + " down")
        assert prompts.ids[0, : len(ids)].tolist() == ids
        for i, (_, answer) in enumerate(self.ROWS[1]):
            place = prompts.asked[1, i]
            assert [prompts.ids[1, place]] == words.encode(" ->")
            assert [prompts.ids[1, place + 1]] == words.encode(" " + answer)
            assert prompts.answers[1, i] == prompts.ids[1, place + 1]

    def test_one_run_asks_what_separate_prompts_ask(
        self, model: SmolLM
    ) -> None:
        """And padding on the right changes nothing."""
        prompts = icl.lay_out(Words(), self.ROWS)
        logits = icl.ask(model, prompts)
        for row in range(2):
            for i, place in enumerate(prompts.asked[row].tolist()):
                alone = model(prompts.ids[row : row + 1, : place + 1])[0, -1]
                torch.testing.assert_close(logits[row, i], alone)
        chosen = logits.argmax(-1)
        assert icl.right(model, prompts._replace(answers=chosen)).all()
        chosen[1, 2] += 1
        right = icl.right(model, prompts._replace(answers=chosen))
        assert right.sum() == 5
        assert not right[1, 2]

    def test_lists(self) -> None:
        for text in (icl.OPPOSITES, icl.PAST_TENSES):
            pairs = icl.word_pairs(text)
            questions = [question for question, _ in pairs]
            assert len(set(questions)) == len(pairs) >= 50
        for pool in icl.REVIEWS:
            reviews = pool.split(",")
            assert len(set(reviews)) == len(reviews) == 32

    def test_draws(self) -> None:
        pairs = icl.word_pairs(icl.OPPOSITES)
        rows = icl.draw_rows(pairs, 20, 9, seeded(1))
        assert all(len(set(row)) == 9 for row in rows)
        assert rows == icl.draw_rows(pairs, 20, 9, seeded(1))
        assert rows != icl.draw_rows(pairs, 20, 9, seeded(2))

    def test_lookups(self) -> None:
        pairs = icl.word_pairs(icl.OPPOSITES)
        rows, seen = icl.lookup_rows(pairs, 10, 4, 12, seeded(1))
        words = {word for pair in pairs for word in pair}
        for row, counts in zip(rows, seen.tolist(), strict=True):
            book = dict(row)
            assert len(book) <= 4
            assert {*book, *book.values()} <= words
            assert not {*book} & {*book.values()}
            for i, pair in enumerate(row):
                assert pair[1] == book[pair[0]]
                assert counts[i] == row[:i].count(pair)

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match="'a b' as one token, got 2"):
            icl.lay_out(Words(), [[("x", "a b")]])
        with pytest.raises(ValueError, match="examples <= 1, got 2"):
            icl.draw_rows([("a", "b")], 1, 2, seeded(0))


class TestLabels:
    def drawn(self, labels: str):
        return icl.labeled_rows(labels, 30, 12, seeded(4))

    def test_only_the_labels_differ(self) -> None:
        rows, truth = self.drawn("true")
        for labels in ("random", "flipped", "made up"):
            other, same = self.drawn(labels)
            assert torch.equal(truth, same)
            for one, two in zip(rows, other, strict=True):
                assert [text for text, _ in one] == [text for text, _ in two]

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            ("true", ("negative", "positive")),
            ("flipped", ("positive", "negative")),
            ("made up", ("bar", "foo")),
        ],
    )
    def test_words(self, labels: str, words: tuple[str, str]) -> None:
        rows, truth = self.drawn(labels)
        for row, good in zip(rows, truth.tolist(), strict=True):
            assert [word for _, word in row] == [words[g] for g in good]

    def test_the_truth_is_the_review(self) -> None:
        rows, truth = self.drawn("true")
        pool = [" ".join(r.split()) for r in icl.REVIEWS[1].split(",")]
        for row, good in zip(rows, truth.tolist(), strict=True):
            assert [text in pool for text, _ in row] == [g == 1 for g in good]

    def test_random_labels_ignore_the_review(self) -> None:
        rows, truth = icl.labeled_rows("random", 400, 10, seeded(4))
        says = torch.tensor([[w == "positive" for _, w in r] for r in rows])
        agree = (says == truth.bool()).double().mean()
        assert float(agree) == pytest.approx(0.5, abs=0.03)

    def test_logprobs(self, model: SmolLM) -> None:
        words = Words()
        rows, _ = self.drawn("made up")
        rows = [row[:3] for row in rows[:2]]
        got = icl.label_logprobs(model, words, rows, "made up")
        assert got.shape == (2, 3, 2)
        text = f"Review: {rows[0][0][0]}\nSentiment:"
        after = model(torch.tensor([words.encode(text)]))[0, -1].softmax(-1)
        expected = after[[words.ids[" bar"], words.ids[" foo"]]]
        torch.testing.assert_close(got[0, 0].exp(), expected)

    def test_refuses(self) -> None:
        with pytest.raises(
            ValueError, match=r"one of true, random.*got gold"
        ):
            self.drawn("gold")


class TestHeads:
    def test_attention_back(self) -> None:
        pattern = torch.zeros(2, 3, 6, 6)
        for t in range(2, 6):
            pattern[:, 0, t, t - 2] = 1  # head 0: always two back
            pattern[0, 1, t, t - 2] = 0.5  # head 1: half, in one row of two
        back = icl.attention_back(pattern, 2, 2)
        torch.testing.assert_close(back, torch.tensor([1, 0.25, 0]))
        pattern[:, 0, 2, 0] = 0  # query 2 does not count from 3 on
        assert float(icl.attention_back(pattern, 2, 3)[0]) == 1
        with pytest.raises(ValueError, match="start >= 2, got 1"):
            icl.attention_back(pattern, 2, 1)

    def test_repeated(self) -> None:
        ids = icl.repeated_tokens(3, 7, 300, seeded(0))
        assert torch.equal(ids[:, :7], ids[:, 7:])
        assert ids.shape == (3, 14)

    def test_scores_by_hand(self, model: SmolLM) -> None:
        ids = icl.repeated_tokens(2, 6, 300, seeded(0))
        induction, previous = icl.head_scores(model, ids)
        assert induction.shape == previous.shape == (3, 4)
        with icl.recording(model, "pattern") as seen:
            model(ids)
        A = seen["pattern", 1][:, 2]  # (rows, seq, seq)
        copied = torch.stack([A[:, t, t - 5] for t in range(6, 12)])
        before = torch.stack([A[:, t, t - 1] for t in range(1, 12)])
        torch.testing.assert_close(induction[1, 2], copied.mean())
        torch.testing.assert_close(previous[1, 2], before.mean())

    def test_without_is_zero_weights(self, model: SmolLM) -> None:
        ids = icl.repeated_tokens(2, 6, 300, seeded(0))
        heads = [(0, 3), (2, 0), (2, 1)]
        cut = copy.deepcopy(model)
        for layer, head in heads:
            out = cut.layers[layer].self_attn.o_proj.weight  # (dim, heads*8)
            out[:, 8 * head : 8 * head + 8] = 0
        before = model(ids)
        with icl.without(model, heads):
            torch.testing.assert_close(model(ids), cut(ids))
        assert torch.equal(model(ids), before)
        assert not torch.allclose(cut(ids), before, atol=1e-3)
        with icl.without(model, []):
            assert torch.equal(model(ids), before)

    def test_strongest_and_random(self, model: SmolLM) -> None:
        scores = torch.tensor([[0.1, 0.9, 0.2], [0.3, 0.0, 0.8]])
        assert icl.strongest(scores, 3) == [(0, 1), (1, 2), (1, 0)]
        spared = [(0, 0), (1, 2), (2, 3)]
        drawn = {
            head
            for seed in range(50)
            for head in icl.random_heads(model, 4, seeded(seed), spared)
        }
        assert drawn == {(n, h) for n in range(3) for h in range(4)} - {
            *spared
        }
        assert len(set(icl.random_heads(model, 5, seeded(0)))) == 5

    def test_loss(self, model: SmolLM) -> None:
        ids = icl.repeated_tokens(3, 6, 300, seeded(0))
        logits = model(ids)
        for t in (1, 7, 11):
            expected = torch.nn.functional.cross_entropy(
                logits[:, t - 1], ids[:, t]
            )
            torch.testing.assert_close(
                icl.loss_by_place(model, ids)[t - 1], expected
            )
        second = torch.nn.functional.cross_entropy(
            logits[:, 6:-1].flatten(0, 1), ids[:, 7:].flatten()
        )
        assert icl.repeat_loss(model, ids) == pytest.approx(float(second))
        with icl.without(model, [(1, 1)]):
            cut = icl.repeat_loss(model, ids)
        assert icl.loss_without(model, [(1, 1)], ids) == cut != second
