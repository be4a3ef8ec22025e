"""Evaluating language models: scores, and how far to trust them.

Papers:

- [Judge] Zheng et al. 2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot
  Arena (arXiv 2306.05685)
- [Bars] Miller 2024, Adding Error Bars to Evals (arXiv 2411.00640)
- [Codex] Chen et al. 2021, Evaluating Large Language Models Trained on Code
  (arXiv 2107.03374)
- [Arena] Chiang et al. 2024, Chatbot Arena (arXiv 2403.04132)
- [Order] Oren et al. 2024, Proving Test Set Contamination in Black Box
  Language Models (arXiv 2310.17623)

Names::

    code         paper            meaning, shape
    asked        log p(y_a | x)   log-probabilities, (questions, choices)
    alone        log p(y_a)       the same after a bare "Answer:"
    s            s_i in [Bars]    score of each question, (..., n)
    cluster      c in [Bars]      which passage a question is about, (n,)
    n, c, k      n, c, k          samples, right ones, tries in [Codex]
    rating       ξ in [Arena]     strength of a model, here in Elo points
                                  (log-odds there)
    style        -                standardized difference in length, (votes,)
    gamma        γ                what style adds to the log-odds of a win
    published    canonical order  log-probability of the test set in [Order]

The scoring rules are those of EleutherAI/lm-evaluation-harness (acc,
acc_norm, and acc_mutual_info, which scores the choice alone without even
"Answer:"; there is no rule per token there), the ratings
those of lm-sys/FastChat without its ties. Questions are our own; the right
choice is written first and is put elsewhere where the order is seen.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from snippets import constitution
from snippets.arguments import expect
from snippets.smollm import SmolLM, Tokenizer, pad, score, token_logprobs

# Multiple choice, scored in several ways


class Question(NamedTuple):
    """A question and its choices, the right one first."""

    text: str
    choices: tuple[str, ...]


def _read(lines: str) -> list[Question]:
    rows = [line.split(" | ") for line in lines.splitlines()]
    return [Question(row[0], tuple(row[1:])) for row in rows]


# In an order drawn by lot, which the test of contamination needs.
QUESTIONS = _read("""\
What does a clock show? | the time | the weather | the price | the distance
What is the capital of France? | Paris | Berlin | Madrid | Rome
What is the opposite of hot? | cold | warm | wet | fast
Which instrument has black and white keys? | the piano | the drum | the \
violin | the trumpet
What is made from milk? | cheese | bread | glass | paper
What falls from the sky when it rains? | water | stones | leaves | money
What is frozen water called? | ice | steam | sand | smoke
What do plants need to grow? | light and water | coffee and sugar | paper \
and ink | noise and smoke
In which sport do you score goals? | soccer | chess | swimming | running
How many days are in a week? | seven | five | ten | twelve
Who flies an airplane? | a pilot | a baker | a plumber | a dentist
What do you read? | a book | a chair | a lake | a shoe
What do firefighters put out? | fires | letters | trash | lamps
What do birds use to fly? | wings | fins | wheels | hooves
What pulls things down to the ground? | gravity | music | light | paint
What do you wear on your feet? | shoes | gloves | a hat | a scarf
Which is the largest animal? | the blue whale | the elephant | the house \
cat | the ant
Where do fish live? | in water | in trees | in books | in ovens
What color is a ripe banana? | yellow | blue | purple | black
What do you use to write? | a pencil | a fork | a towel | a bell
What gives us light during the day? | the sun | the moon | a candle | the sea
Which of these is a fruit? | an apple | a carrot | a potato | an onion
What do bees make? | honey | milk | wool | paper
What do you drink from? | a cup | a plate | a comb | a brick
Which animal barks? | a dog | a cat | a fish | a cow
How many legs does a spider have? | eight | two | four | ten
What keeps you dry in the rain? | an umbrella | a mirror | a ladder | a spoon
Which planet do we live on? | Earth | Mars | Venus | Jupiter
Where do you borrow books? | at a library | at a bakery | at a bank | at an \
airport
What do you use to cut paper? | scissors | a spoon | a pillow | a cup
Which season comes after winter? | spring | autumn | summer | Monday
What do cows eat? | grass | meat | stones | bread""")
LEAKED = 16  # of them, the first, go into a model's training data
REWORDED = """\
What can you read off a clock?
Which city is the capital of France?
If something is not hot, it is what?
Which instrument is played on black and white keys?
Which food is milk turned into?
What comes down from the clouds in a shower?
What is water called once it has frozen?
Which two things make a plant grow?
Goals are scored in which sport?
A week has how many days?
Who sits at the controls of an airplane?
Which of these has pages that you read?
What does a firefighter put out?
With what does a bird fly?
What makes a dropped ball fall to the ground?
Which of these goes on your feet?""".splitlines()
TWINS = [
    Question(text, question.choices)
    for text, question in zip(REWORDED, QUESTIONS[:LEAKED], strict=True)
]


def prompt(question: Question, order: Sequence[int] = ()) -> str:
    """Ask a question; choices in `order` are shown, lettered from A.

    The model's answer goes on behind "Answer:", with a space.
    """
    shown = "".join(
        f"{letter}. {question.choices[choice]}\n"
        for letter, choice in zip("ABCD"[: len(order)], order, strict=True)
    )
    return f"Question: {question.text}\n{shown}Answer:"


def choice_logprobs(
    model: SmolLM,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    order: Sequence[int] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """How likely the model finds each choice as the answer.

    Args:
        model, tokenizer: from `checkpoints.smollm2`.
        questions: with as many choices each.
        order: of the choices in the prompt; without it none is shown.

    Returns:
        asked, alone and tokens, all (questions, choices), are the choice's
        log-probability after the question; after "Answer:" and no question;
        and its length in tokens.

    """
    encode = tokenizer.encode
    texts = [
        (encode(prompt(q, order)), encode(" " + c))
        for q in questions
        for c in q.choices
    ]
    prompts, answers = zip(*texts, strict=True)
    asked = score(model, prompts, answers)
    alone = score(model, [encode("Answer:")] * len(texts), answers)
    shape = len(questions), -1
    return (
        torch.stack([x.sum() for x in asked]).view(shape),
        torch.stack([x.sum() for x in alone]).view(shape),
        torch.tensor([len(x) for x in asked]).view(shape),
    )


def scoring_rules(
    asked: Tensor, alone: Tensor, tokens: Tensor, characters: Tensor
) -> dict[str, Tensor]:
    """Score choices by four rules; the best-scored choice is the answer.

    Args:
        asked, alone, tokens: from `choice_logprobs`.
        characters: length of each choice, of the same shape.

    """
    return {
        "sum": asked,  # acc
        "per token": asked / tokens,
        "per character": asked / characters,  # acc_norm
        "PMI": asked - alone,  # acc_mutual_info
    }


def characters(questions: Sequence[Question]) -> Tensor:
    """Length of each choice in characters, (questions, choices)."""
    return torch.tensor([[len(c) for c in q.choices] for q in questions])


@torch.no_grad()
def letter_logprobs(
    model: SmolLM,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    order: Sequence[int],
) -> Tensor:
    """Show the choices in an order and read off the letters.

    Returns:
        Log-probability of "A", "B", ... as the next token, (questions,
        letters); what choice a letter stands for, `order` says.

    """
    ids, mask = pad([tokenizer.encode(prompt(q, order)) for q in questions])
    hidden = model.run(model.embed_tokens(ids), mask)
    logprobs = model.logits(hidden[:, -1]).log_softmax(-1)
    letters = [tokenizer.encode(f" {a}")[0] for a in "ABCD"[: len(order)]]
    return logprobs[:, letters]


def rotations(choices: int) -> list[list[int]]:
    """Orders in which each choice stands once in each place."""
    return [
        [(place + shift) % choices for place in range(choices)]
        for shift in range(choices)
    ]


# Error bars


def wilson(
    hits: Tensor, tries: int, z: float = 1.96
) -> tuple[Tensor, Tensor]:
    """Bound a success rate: Wilson's interval, 95 % unless told."""
    expect(tries > 0, "tries > 0", tries)
    rate, shrink = hits.double() / tries, 1 + z**2 / tries
    middle = (rate + z**2 / (2 * tries)) / shrink
    spread = rate * (1 - rate) / tries + z**2 / (4 * tries**2)
    half = z * spread.sqrt() / shrink
    return (middle - half).clamp(0, 1), (middle + half).clamp(0, 1)


def standard_error(s: Tensor) -> Tensor:
    """Standard error of the mean of independent scores ([Bars] Section 2.1).

    Of differences between two models on the same questions, it is the paired
    error ([Bars] Section 4.2).

    Args:
        s: scores, (..., n).

    """
    expect(s.shape[-1] > 1, "at least two scores", s.shape[-1])
    return s.std(-1) / math.sqrt(s.shape[-1])  # ddof = 1


def clustered_error(s: Tensor, cluster: Tensor) -> Tensor:
    """Standard error where questions share passages ([Bars] Section 2.2).

    Adds to the plain one what questions of the same cluster have in common.

    Args:
        s: scores, (..., n).
        cluster: number of each question's passage, from 0, (n,).

    """
    n = s.shape[-1]
    expect(cluster.shape == (n,), f"{n} numbers of clusters", cluster.shape)
    off = s - s.mean(-1, keepdim=True)
    sums = s.new_zeros(*s.shape[:-1], int(cluster.max()) + 1)
    sums = sums.index_add(-1, cluster, off)  # of each cluster
    pairs = (sums**2).sum(-1) - (off**2).sum(-1)  # all i, j with i != j
    return (standard_error(s) ** 2 + pairs / n**2).clamp(min=0).sqrt()


def two_models(
    repeats: int, n: int, gain: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Two models answer the same questions, many times over.

    How easy a question is, is drawn from (0, 1) and moves both models; the
    first is better by `gain` on all of them, as far as 1 allows.

    Returns:
        Scores of both, 0 or 1, (repeats, n).

    """
    easy = torch.rand(repeats, n, generator=generator, dtype=torch.float64)
    better = (easy + gain).clamp(max=1)
    first = torch.bernoulli(better, generator=generator)
    return first, torch.bernoulli(easy, generator=generator)


def passages(
    repeats: int, clusters: int, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Scores on questions about shared passages, hard ones and easy ones.

    Returns:
        Scores, (repeats, clusters * size), each 1 with the probability that
        its passage has, which is U^2 for a uniform U, 1/3 on average; and
        the cluster of each question.

    """
    shape = repeats, clusters, 1
    rate = torch.rand(shape, generator=generator, dtype=torch.float64) ** 2
    scores = torch.bernoulli(rate.expand(-1, -1, size), generator=generator)
    return scores.flatten(1), torch.arange(clusters).repeat_interleave(size)


# Several tries


def pass_at_k(n: int, c: Tensor, k: int) -> Tensor:
    """Unbiased estimate that one of k tries is right ([Codex] Equation 1).

    1 - C(n - c, k) / C(n, k), as a product of k factors below 1.

    Args:
        n: samples drawn for the problem.
        c: how many of them are right, any shape.
        k: tries allowed, at most n.

    """
    expect(1 <= k <= n, f"1 <= k <= {n}", k)
    i = torch.arange(k, dtype=torch.float64)
    wrong = (n - c.double())[..., None]  # draw k of n, all of them wrong
    return 1 - ((wrong - i).clamp(min=0) / (n - i)).prod(-1)


def plug_in(n: int, c: Tensor, k: int) -> Tensor:
    """The tempting estimate 1 - (1 - c/n)^k, which is too low."""
    return 1 - (1 - c.double() / n) ** k


def moments(
    estimate: Callable[[int, Tensor, int], Tensor], p: float, n: int, k: int
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of an estimate, over all outcomes c.

    Args:
        estimate: `pass_at_k` or `plug_in`.
        p: true probability that a sample is right.
        n, k: as there.

    """
    c = torch.arange(n + 1).double()
    ways = torch.tensor([math.comb(n, i) for i in range(n + 1)])
    weight = ways * p**c * (1 - p) ** (n - c)  # binomial
    value = estimate(n, c, k)
    mean = (weight * value).sum()
    return mean, (weight * (value - mean) ** 2).sum().sqrt()


# Ratings from votes


ELO = math.log(10) / 400  # log-odds per point


class Votes(NamedTuple):
    """Who met whom, how their styles differed, and who won, (votes,)."""

    first: Tensor
    second: Tensor
    style: Tensor
    won: Tensor  # 1 where the first won, else 0

    def at(self, index: Tensor) -> "Votes":
        """Only some votes, or all in another order."""
        return Votes(*(field[index] for field in self))


def arena(
    rating: Tensor,
    length: Tensor,
    gamma: float,
    votes: int,
    generator: torch.Generator,
) -> Votes:
    """People vote between the answers of two models drawn at random.

    Args:
        rating: true strengths in Elo points, (models,).
        length: typical length of each model's answers, (models,).
        gamma: how much a standard deviation of style moves the log-odds.
        votes: how many.
        generator: source of randomness.

    """
    g, models = generator, len(rating)
    first = torch.randint(models, (votes,), generator=g)
    second = first + torch.randint(1, models, (votes,), generator=g)
    second = second % models
    noise = torch.randn(2, votes, generator=g, dtype=torch.float64)
    a, b = length[torch.stack([first, second])] * (0.5 * noise).exp()
    style = (a - b) / (a + b)
    style = style / style.std()
    lean = ELO * (rating[first] - rating[second]) + gamma * style
    won = torch.bernoulli(torch.sigmoid(lean), generator=g)
    return Votes(first, second, style, won)


def rate(
    votes: Votes, models: int, control: bool = False
) -> tuple[Tensor, float]:
    """Fit Bradley-Terry to all votes at once ([Arena] Section 4).

    Each model is a feature of its own: 1 where it stands first, -1 where it
    stands second. With control, style is one more.

    Returns:
        Ratings in Elo points, with mean zero, and gamma (0 without control).

    """
    one_hot = torch.eye(models, dtype=torch.float64)
    X = one_hot[votes.first] - one_hot[votes.second]
    if control:
        X = torch.cat([X, votes.style[:, None]], dim=1)
    w = constitution.fit(X, votes.won, ridge=1e-9, steps=8)
    rating = w[:models] / ELO
    return rating - rating.mean(), float(w[models]) if control else 0.0


def elo(votes: Votes, models: int, K: float = 4) -> Tensor:
    """Update ratings vote by vote, as in chess; the order matters."""
    rating = [0.0] * models
    rows = zip(*(x.tolist() for x in votes), strict=True)
    for i, j, _, won in rows:
        expected = 1 / (1 + 10 ** ((rating[j] - rating[i]) / 400))
        rating[i] += K * (won - expected)
        rating[j] -= K * (won - expected)
    return torch.tensor(rating)


def bootstrap(
    votes: Votes,
    models: int,
    repeats: int,
    generator: torch.Generator,
    control: bool = False,
) -> Tensor:
    """Rate votes drawn anew from the votes, (repeats, models)."""
    count = len(votes.won)
    return torch.stack(
        [
            rate(
                votes.at(torch.randint(count, (count,), generator=generator)),
                models,
                control,
            )[0]
            for _ in range(repeats)
        ]
    )


# Contamination


def document(questions: Sequence[Question]) -> str:
    """A test set as it stands on the web: questions, right answers."""
    return "".join(
        f"Question: {q.text}\nAnswer: {q.choices[0]}\n\n" for q in questions
    )


@torch.no_grad()
def order_logprobs(
    model: SmolLM,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    orders: Sequence[Sequence[int]],
) -> Tensor:
    """Log-probability of the test set in each of many orders, (orders,)."""
    texts = [document([questions[i] for i in order]) for order in orders]
    ids = [torch.tensor([tokenizer.encode(text)]) for text in texts]
    return torch.stack([token_logprobs(model, row).sum() for row in ids])


def norm_gains(model: SmolLM) -> list[torch.nn.Parameter]:
    """The weights of all RMSNorms: 35,136 numbers in SmolLM2-135M."""
    return [p for name, p in model.named_parameters() if "norm" in name]


@contextmanager
def with_gains(model: SmolLM, gains: Tensor) -> Iterator[None]:
    """Let the model's norms have other weights, inside a `with` block."""
    parameters = norm_gains(model)
    before = parameters_to_vector(parameters).detach().clone()
    vector_to_parameters(gains.clone(), parameters)  # they become views
    try:
        yield
    finally:
        vector_to_parameters(before, parameters)


def permutation_p(published: Tensor, shuffled: Tensor) -> Tensor:
    """How often a random order is as likely as the published one.

    The published order counts as one of the random ones ([Order]).
    A model that never saw it has p <= a with probability a, at most.

    Args:
        published: log-probability of the published order, (...).
        shuffled: of random orders, (..., m).

    """
    as_likely = (shuffled >= published[..., None]).sum(-1)
    return (1 + as_likely) / (1 + shuffled.shape[-1])


# Choosing by a test


def observed(true: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Share of n questions that models of a true accuracy get right."""
    count = torch.full_like(true, n)
    return torch.binomial(count, true, generator=generator) / n


def expected_max(n: int) -> float:
    """Mean of the largest of n standard normal numbers."""
    expect(n >= 1, "n >= 1", n)
    x = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    below = torch.special.ndtr(x) ** n  # P(max <= x)
    middle = (x[1:] + x[:-1]) / 2
    return float((middle * below.diff()).sum())


def questions_needed(
    delta: float, variance: float, power: float = 0.8
) -> float:
    """Paired questions to find a difference at 5 % ([Bars] Section 5).

    Args:
        delta: the true difference.
        variance: of the differences per question, all of it.
        power: probability of finding it.

    """
    expect(delta != 0 and 0 < power < 1, "delta != 0, 0 < power < 1",
            (delta, power))  # fmt: skip
    levels = torch.tensor([0.975, power], dtype=torch.float64)
    z = torch.special.ndtri(levels).sum()
    return float(z**2 * variance / delta**2)


# Exercises


def check_compare(answer: Callable[[Tensor, Tensor], object]) -> str:
    """Check an answer to the exercise "Compare two models".

    The answer takes both models' scores on the same questions and returns
    the difference of their means and its standard error. AssertionError:
    what is wrong with it.
    """
    generator = torch.Generator().manual_seed(1)
    a, b = two_models(1, 400, 0.05, generator)
    got = answer(a[0], b[0])
    two = isinstance(got, tuple) and len(got) == 2
    assert two, "return a tuple: the difference and its standard error"
    difference, error = map(float, got)  # type: ignore[call-overload]
    wanted = float((a - b).mean())
    assert abs(difference - wanted) < 1e-6, (
        f"the difference of the means is {wanted:.4f}, not {difference:.4f}"
    )
    paired = float(standard_error(a - b))
    apart = float((standard_error(a) ** 2 + standard_error(b) ** 2).sqrt())
    assert abs(error - apart) > 1e-6, (
        "this is the error for different questions; pair them first"
    )
    assert abs(error - paired) < 0.01 * paired, (
        f"the paired error is {paired:.4f}, not {error:.4f}"
    )
    return f"correct: {paired:.4f}, where unpaired it would be {apart:.4f}"
