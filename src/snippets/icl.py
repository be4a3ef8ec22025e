"""In-context learning: a step of gradient descent, and a real model's heads.

Papers:

- [GD] von Oswald et al. 2023, Transformers Learn In-Context by Gradient
  Descent (arXiv 2212.07677)
- [Heads] Olsson et al. 2022, In-context Learning and Induction Heads
  (arXiv 2209.11895)
- [Bayes] Xie et al. 2022, An Explanation of In-context Learning as Implicit
  Bayesian Inference (arXiv 2111.02080)
- [Labels] Min et al. 2022, Rethinking the Role of Demonstrations
  (arXiv 2202.12837)

Names::

    code     paper [GD]      meaning, shape
    N        N               examples in the context
    Nx, Ny   N_x, N_y        size of an input and of a target
    X, Y     x_i, y_i        inputs (N + 1, Nx), targets (N + 1, Ny)
    E        e_j = (x, y)    tokens, (N + 1, Nx + Ny), the query last
    Wk, Wq   W_K, W_Q        key and query matrices
    Wv, P    W_V, P          value matrix, projection
    W0       W_0             weights before the step, (Ny, Nx)
    eta      η               step size

The regressions may carry batch axes in front. Nothing here is fast. The
authors' code is google-research/self-organising-systems, in its folder
`transformers_learn_icl_by_gd`. The second half asks the real model of
`snippets.smollm`; rows of a prompt are padded on the right, which a causal
model does not notice.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from snippets.arguments import expect
from snippets.smollm import SmolLM, Tokenizer, editing, recording

# One layer of linear attention is one step of gradient descent


class Attention(NamedTuple):
    """The four matrices of a one-head attention layer, each (D, D)."""

    Wk: Tensor
    Wq: Tensor
    Wv: Tensor
    P: Tensor


def regression_tasks(
    tasks: int, length: int, inputs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw linear regressions without noise, each with a w of its own.

    x uniform in [-1, 1], w standard normal ([GD] Section 3). The authors'
    `input_range` is the width of that interval, 2.

    Args:
        tasks: how many regressions.
        length: examples in each, N; one more is drawn as the query.
        inputs: size of x, Nx.
        generator: source of randomness.

    Returns:
        X, (tasks, N + 1, Nx), and Y, (tasks, N + 1, 1), in float64.

    """
    expect(min(tasks, length, inputs) > 0, "sizes above 0", (tasks, length))
    shape, wide = (tasks, length + 1, inputs), torch.float64
    X = 2 * torch.rand(shape, generator=generator, dtype=wide) - 1
    w = torch.randn(tasks, inputs, 1, generator=generator, dtype=wide)
    return X, X @ w


def gradient_step(W0: Tensor, X: Tensor, Y: Tensor, eta: float) -> Tensor:
    """Take one gradient step on the squared error ([GD] Eq. 3).

    Args:
        W0: weights, (Ny, Nx).
        X, Y: the examples, (N, Nx) and (N, Ny).
        eta: step size η, of the loss Σ ‖W x_i - y_i‖² / 2N.

    Returns:
        New weights, (Ny, Nx).

    """
    error = X @ W0.mT - Y  # (N, Ny)
    step: Tensor = W0 - eta / X.shape[-2] * error.mT @ X
    return step


def regression_tokens(X: Tensor, Y: Tensor, W0: Tensor) -> Tensor:
    """Lay examples and query out as tokens (x, y), the query last.

    Where an example has its target, the query has -W0 x.

    Args:
        X, Y: examples and query, (N + 1, Nx) and (N + 1, Ny).
        W0: weights before the step, (Ny, Nx).

    Returns:
        Tokens E, (N + 1, Nx + Ny). The query's own target is not in them.

    """
    pairs = X.shape[:-1] == Y.shape[:-1]
    expect(pairs, f"Y for X {(*X.shape,)}", (*Y.shape,))
    query = -X[..., -1:, :] @ W0.mT
    return torch.cat([X, torch.cat([Y[..., :-1, :], query], -2)], -1)


def linear_attention(E: Tensor, layer: Attention) -> Tensor:
    """Update tokens, (N + 1, D): e_j + P V Kᵀ q_j ([GD] Section 2)."""
    Wk, Wq, Wv, P = layer
    examples = E[..., :-1, :]  # the query is no key and no value
    K, V = examples @ Wk.mT, examples @ Wv.mT  # (N, D)
    scores = E @ Wq.mT @ K.mT  # (N + 1, N), and no softmax
    return E + scores @ V @ P.mT


def gd_attention(W0: Tensor, eta: float, examples: int) -> Attention:
    """Make the layer a step from W0 on N examples ([GD] Prop. 1)."""
    Ny, Nx = W0.shape
    D = Nx + Ny
    Wk, Wv = W0.new_zeros(D, D), W0.new_zeros(D, D)
    Wk[:Nx, :Nx] = torch.eye(Nx)  # keys and queries: x alone
    Wv[Nx:, :Nx] = W0  # values: the error W0 x - y
    Wv[Nx:, Nx:] = -torch.eye(Ny)
    return Attention(Wk, Wk, Wv, eta / examples * torch.eye(D).to(W0))


def prediction(E: Tensor, targets: int = 1) -> Tensor:
    """Read the query's prediction, (Ny,): minus its target entries."""
    return -E[..., -1, -targets:]


# A Bayesian for the same tasks


def ridge(X: Tensor, Y: Tensor, penalty: float) -> Tensor:
    """Fit W to minimize Σ ‖W x_i - y_i‖² + penalty ‖W‖², (Ny, Nx).

    The mean of the posterior of a Bayesian who knows that the entries of W
    are standard normal and the noise has variance `penalty`.
    """
    expect(penalty > 0, "penalty > 0", penalty)
    gram = X.mT @ X + penalty * torch.eye(X.shape[-1]).to(X)
    W: Tensor = torch.linalg.solve(gram, X.mT @ Y).mT
    return W


def task_posterior(prior: Tensor, likelihoods: Tensor) -> Tensor:
    """Weigh tasks by k examples: p(c | D) ∝ p(c) Π p(example | c).

    Args:
        prior: p(c), (tasks,).
        likelihoods: probability of each example under each task, (k, tasks).

    Returns:
        (tasks,), adds up to 1.

    """
    weights = prior * likelihoods.prod(0)
    return weights / weights.sum()


def check_next_heads(
    answer: Callable[[Tensor, Tensor, Sequence[int]], float],
) -> str:
    """Check an answer to the exercise "three coins".

    Args:
        answer: takes p(heads) of each coin, its prior, and flips (1 heads);
            returns the probability that the next flip is heads.

    Raises:
        AssertionError: What is wrong with the answer.

    """
    coins, fair = torch.tensor([0.2, 0.5, 0.9]), torch.full((3,), 1 / 3)
    sure = torch.tensor([0.0, 0.0, 1.0])
    for prior, flips, wanted in (
        (fair, [], 0.5333),
        (fair, [1], 0.6875),
        (fair, [1, 1, 0], 0.5958),
        (sure, [0, 0], 0.9),
    ):
        got = float(answer(coins, prior, flips))
        assert abs(got - wanted) < 1e-3, f"{flips}: {wanted}, got {got:.4f}"
    return "correct: your Bayesian learns in context"


# Examples in a prompt, for a real language model


OPPOSITES = """\
hot cold, big small, up down, fast slow, light dark, early late,
open closed, rich poor, young old, strong weak, happy sad, hard soft,
high low, long short, left right, wet dry, full empty, clean dirty,
day night, thick thin, black white, inside outside, love hate, win lose,
true false, new used, near far, good bad, loud quiet, safe dangerous,
wide narrow, deep shallow, cheap expensive, first last, same different,
alive dead, war peace, push pull, north south, east west, begin end,
buy sell, more less, before after, male female, summer winter, top bottom,
front back, rough smooth, always never, above below, public private,
positive negative, simple complex, major minor, success failure,
increase decrease, active passive, internal external"""

PAST_TENSES = """\
go went, see saw, take took, make made, come came, give gave, find found,
know knew, think thought, buy bought, run ran, eat ate, write wrote,
speak spoke, break broke, fall fell, begin began, sing sang, drink drank,
drive drove, ride rode, choose chose, lose lost, win won, keep kept,
leave left, feel felt, meet met, sit sat, stand stood, hear heard,
hold held, bring brought, teach taught, catch caught, build built,
send sent, spend spent, tell told, sell sold, grow grew, throw threw,
fly flew, draw drew, wear wore, get got, say said, lead led, pay paid,
swim swam"""

Row = list[tuple[str, str]]  # questions and answers, in order


class Prompts(NamedTuple):
    """Rows of examples, each of which is first a question to the model."""

    ids: Tensor  # (rows, seq)
    asked: Tensor  # the last token of each question, (rows, examples)
    answers: Tensor  # its answer as the row gives it, (rows, examples)

    def first(self, rows: int) -> "Prompts":
        """The first rows alone."""
        return Prompts(*(part[:rows] for part in self))


def word_pairs(text: str) -> Row:
    """Read "hot cold, big small" as pairs."""
    pairs = [pair.split() for pair in text.split(",")]
    return [(question, answer) for question, answer in pairs]


def draw_rows(
    pairs: Row, rows: int, examples: int, generator: torch.Generator
) -> list[Row]:
    """Draw rows of examples, none twice in a row."""
    expect(examples <= len(pairs), f"examples <= {len(pairs)}", examples)
    orders = [
        torch.randperm(len(pairs), generator=generator)[:examples].tolist()
        for _ in range(rows)
    ]
    return [[pairs[i] for i in order] for order in orders]


def lookup_rows(
    pairs: Row,
    rows: int,
    keys: int,
    examples: int,
    generator: torch.Generator,
) -> tuple[list[Row], Tensor]:
    """Draw rows in which arbitrary pairs of words come back.

    Each row makes up its own dictionary from the words of `pairs`.

    Returns:
        The rows, and how often each pair has come before, (rows, examples).

    """
    words = sorted({word for pair in pairs for word in pair})
    drawn, seen = [], torch.zeros(rows, examples, dtype=torch.long)
    for row in range(rows):
        order = torch.randperm(len(words), generator=generator).tolist()
        book = [(words[i], words[j]) for i, j in zip(
            order[:keys], order[keys : 2 * keys], strict=True)]  # fmt: skip
        picks = torch.randint(keys, (examples,), generator=generator)
        drawn.append([book[i] for i in picks.tolist()])
        same = picks[:, None] == picks[None, :]
        seen[row] = same.tril(-1).sum(1)
    return drawn, seen


def lay_out(
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    question: str = "{} ->",
    between: str = "\n",
) -> Prompts:
    """Write rows of examples as prompts: "hot -> cold", one per line.

    Raises:
        ValueError: An answer that is not one token.

    """
    written, asked, answers = [], [], []
    for row in rows:
        ids: list[int] = []
        places = []
        for number, (text, answer) in enumerate(row):
            before = between if number else ""
            ids += tokenizer.encode(before + question.format(text))
            places.append(len(ids) - 1)
            token = tokenizer.encode(" " + answer)
            expect(len(token) == 1, f"{answer!r} as one token", len(token))
            ids += token
        written.append(torch.tensor(ids))
        asked.append(places)
        answers.append([ids[place + 1] for place in places])
    padded = torch.nn.utils.rnn.pad_sequence(written, batch_first=True)
    return Prompts(padded, torch.tensor(asked), torch.tensor(answers))


def ask(model: SmolLM, prompts: Prompts) -> Tensor:
    """Score all tokens as answers to all questions of all rows.

    One run answers them all: a causal model comes to the question i having
    read i examples, and nothing after it.

    Returns:
        Logits, (rows, examples, vocab).

    """
    hidden = model.run(model.embed_tokens(prompts.ids))
    rows = torch.arange(len(prompts.ids))[:, None]
    return model.logits(hidden[rows, prompts.asked])


def right(model: SmolLM, prompts: Prompts) -> Tensor:
    """Whether the model's first choice is the answer, (rows, examples)."""
    return ask(model, prompts).argmax(-1) == prompts.answers


def three_tasks(
    tokenizer: Tokenizer, rows: int, generator: torch.Generator
) -> dict[str, tuple[Prompts, Tensor]]:
    """Ask for look-ups in a made-up dictionary, opposites, past tenses.

    Returns:
        For each task prompts, and which of their questions count, (rows,
        examples): look-ups that were shown before; the other two from four
        examples on.

    """
    opposites, past = map(word_pairs, (OPPOSITES, PAST_TENSES))
    lookups, seen = lookup_rows(opposites, rows, 4, 12, generator)
    warm = (torch.arange(9) >= 4).expand(rows, 9)
    tasks = {"look-ups": (lay_out(tokenizer, lookups), seen > 0)}
    for name, pairs in ("opposites", opposites), ("past tenses", past):
        drawn = draw_rows(pairs, rows, 9, generator)
        tasks[name] = lay_out(tokenizer, drawn), warm
    return tasks


# What the labels do


REVIEWS = (
    """\
a dull and lifeless film, a complete waste of time, I hated every minute,
terrible acting throughout, a boring and empty story,
the worst film this year, bad music and a bad cast, stale and annoying,
painful from start to finish, badly shot and badly written,
I nearly fell asleep, a stupid and tedious mess, simply awful,
a failure for the director, lazy and pointless, poor in every way,
I wanted my money back, a depressing bore, a mess best avoided,
a ridiculous ending, shallow and forgettable, flat characters and no plot,
it ruined my evening, full of noise and cliche, an embarrassing flop,
horrible writing, I walked out early, slow and confusing, pure garbage,
truly disappointing, a very frustrating film, not worth watching""",
    """\
a warm and funny film, an absolute delight, I loved every minute,
brilliant acting throughout, a moving and tender story,
the best film this year, great music and a great cast, witty and charming,
a joy from start to finish, beautifully shot and written, I wept with joy,
a smart and thrilling ride, simply wonderful, a triumph for the director,
clever and exciting, superb in every way, I laughed all the way,
an inspiring true story, a gem not to be missed, a perfect ending,
rich and rewarding, lovely characters and a lovely plot, it made my day,
full of life and warmth, a stunning success, excellent writing,
I want to see it again, gripping and graceful, pure magic,
truly entertaining, a very satisfying film, highly recommended""",
)
WORDS = {"made up": ("bar", "foo")}  # for other labels, the words they mean
MEANT = ("negative", "positive")


def label_words(labels: str) -> tuple[str, str]:
    """The words for a bad and a good review."""
    return WORDS.get(labels, MEANT)


def labeled_rows(
    labels: str, rows: int, examples: int, generator: torch.Generator
) -> tuple[list[Row], Tensor]:
    """Draw rows of film reviews, labeled in one of four ways.

    The same generator gives the same reviews, whatever the labels.

    Args:
        labels: "true", "random", "flipped", or "made up": true, but written
            as foo and bar.
        rows, examples: how many, and how long.
        generator: source of randomness.

    Returns:
        The rows, and whether each review is good, (rows, examples).

    """
    ways = ("true", "random", "flipped", "made up")
    expect(labels in ways, f"one of {', '.join(ways)}", labels)
    pools = [
        [" ".join(review.split()) for review in pool.split(",")]
        for pool in REVIEWS
    ]
    words = label_words(labels)
    drawn, truth = [], torch.zeros(rows, examples, dtype=torch.long)
    for row in range(rows):
        good, coin = torch.randint(2, (2, examples), generator=generator)
        orders = [
            torch.randperm(len(pool), generator=generator) for pool in pools
        ]
        shown = {"random": coin, "flipped": 1 - good}.get(labels, good)
        drawn.append([
            (pools[g][orders[g][i]], words[s])
            for i, (g, s) in enumerate(
                zip(good.tolist(), shown.tolist(), strict=True))
        ])  # fmt: skip
        truth[row] = good
    return drawn, truth


def label_logprobs(
    model: SmolLM, tokenizer: Tokenizer, rows: Sequence[Row], labels: str
) -> Tensor:
    """Ask for the sentiment of every review of every row.

    Returns:
        Log-probabilities of the words for bad and good, (rows, examples, 2).
        What is missing to 1 the model gives to all other words.

    """
    prompts = lay_out(tokenizer, rows, "Review: {}\nSentiment:", "\n\n")
    ids = [tokenizer.encode(" " + word)[0] for word in label_words(labels)]
    return ask(model, prompts).log_softmax(-1)[..., ids]


# The heads that copy

Head = tuple[int, int]  # layer and number


def repeated_tokens(
    rows: int, length: int, vocab: int, generator: torch.Generator
) -> Tensor:
    """Draw random tokens and say them twice, (rows, 2 * length)."""
    block = torch.randint(100, vocab, (rows, length), generator=generator)
    return torch.cat([block, block], 1)


def attention_back(pattern: Tensor, offset: int, start: int) -> Tensor:
    """Mean attention of each head to the token `offset` places before.

    Args:
        pattern: attention weights, (rows, heads, seq, seq).
        offset: how far back; with L - 1 on a block of length L said twice,
            this is like the prefix-matching score of [Heads].
        start: first query that counts, at least `offset`.

    Returns:
        (heads,).

    """
    expect(start >= offset, f"start >= {offset}", start)
    back = pattern.diagonal(-offset, dim1=-2, dim2=-1)  # (rows, heads, seq-o)
    return back[..., start - offset :].mean((0, -1))


def head_scores(model: SmolLM, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Score all heads on a block said twice, ids (rows, 2 * L).

    Returns:
        Induction, attention to what followed this token the first time, and
        previous, attention to the token before. Both (layers, heads).

    """
    half = ids.shape[1] // 2
    with recording(model, "pattern") as seen:
        model.run(model.embed_tokens(ids))
    layers = [seen["pattern", n] for n in range(model.config.n_layers)]
    induction = [attention_back(A, half - 1, half) for A in layers]
    previous = [attention_back(A, 1, 1) for A in layers]
    return torch.stack(induction), torch.stack(previous)


def strongest(scores: Tensor, count: int) -> list[Head]:
    """Name the heads with the highest scores, (layers, heads), in order."""
    best = scores.flatten().topk(count).indices.tolist()
    return [divmod(index, scores.shape[1]) for index in best]


def random_heads(
    model: SmolLM,
    count: int,
    generator: torch.Generator,
    spared: Sequence[Head] = (),
) -> list[Head]:
    """Draw heads to compare with, none of those spared."""
    sizes = model.config.n_layers, model.config.n_heads
    chance = torch.rand(sizes, generator=generator)
    for layer, head in spared:
        chance[layer, head] = -1
    return strongest(chance, count)


@contextmanager
def without(model: SmolLM, heads: Sequence[Head]) -> Iterator[None]:
    """Silence heads inside a `with` block: what they gathered becomes 0."""

    def silence(layer: int) -> Callable[[Tensor], Tensor]:
        mute = [head for at, head in heads if at == layer]

        def edit(gathered: Tensor) -> Tensor:
            gathered = gathered.clone()  # (rows, heads, seq, head_dim)
            gathered[:, mute] = 0
            return gathered

        return edit

    layers = {layer for layer, _ in heads}
    with editing(model, {("heads", n): silence(n) for n in layers}):
        yield


def loss_by_place(model: SmolLM, ids: Tensor) -> Tensor:
    """Mean loss at each token but the first, in nats, (seq - 1,)."""
    logprobs = model(ids)[:, :-1].log_softmax(-1)
    loss: Tensor = -logprobs.gather(-1, ids[:, 1:, None])[..., 0].mean(0)
    return loss


def repeat_loss(model: SmolLM, ids: Tensor) -> float:
    """Mean loss on a block's second time, from its second token on."""
    return float(loss_by_place(model, ids)[ids.shape[1] // 2 :].mean())


def loss_without(model: SmolLM, heads: Sequence[Head], ids: Tensor) -> float:
    """Mean loss on a block's second time with heads silenced."""
    with without(model, heads):
        return repeat_loss(model, ids)
