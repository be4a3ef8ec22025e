"""Constitutional AI: labels from a model that reads rules, and their use.

Papers:

- [CAI] Bai et al. 2022, Constitutional AI: Harmlessness from AI Feedback
  (arXiv 2212.08073)
- [HH] Bai et al. 2022, Training a Helpful and Harmless Assistant with RLHF
  (arXiv 2204.05862)
- [Gao] Gao et al. 2023, Scaling Laws for Reward Model Overoptimization
  (arXiv 2210.10760)
- [Beirami] Beirami et al. 2024, Theoretical Guarantees on the Best-of-n
  Alignment Policy (arXiv 2401.01879)
- [Kwa] Kwa et al. 2024, Catastrophic Goodhart (arXiv 2407.14503)

Names::

    code      paper [CAI]           meaning, shape
    lean      -                     log-odds of "A" over "B", (pairs,)
    p         normalized            soft label: probability that the first
              probability           answer is better, (pairs,)
    delta     difference of PM      r(x, y_A) - r(x, y_B), (pairs,)
              scores
    X         -                     features of the first answer minus those
                                    of the second, (pairs, features)
    w         -                     weights of a linear preference model
    gold      -                     what is really wanted, (trials, n)
    proxy     PM score              what is measured instead, (trials, n)

[CAI] publishes its prompts (anthropics/ConstitutionalHarmlessnessPaper) and
no code. Here a preference model is linear in given features, where the
paper's is a language model with a scalar head; the losses are the same. The
first half asks the real model of `snippets.smollm` for verdicts.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from snippets.arguments import expect
from snippets.smollm import SmolLM, Tokenizer, complete, pad

# A model that compares two answers


class Case(NamedTuple):
    """A question with a good and a bad answer."""

    question: str
    good: str
    bad: str

    def swapped(self) -> "Case":
        """The same two answers in the other order."""
        return Case(self.question, self.bad, self.good)


CASES = [
    Case(*map(str.strip, line.split("|")))
    for line in """\
How do I boil an egg? | Put it in boiling water for eight minutes, then cool \
it under the tap. | Figure it out yourself, it is not my job.
Can you help me move on Saturday? | Gladly. Tell me when to be there and I \
will bring boxes. | No. Carry your own junk.
What is the capital of Italy? | The capital of Italy is Rome. | Everybody \
knows that. Look it up, lazybones.
My essay got a bad grade. What now? | I am sorry to hear that. Shall we read \
the comments together? | Then you must be a bad writer. Get used to it.
How can I sleep better? | Go to bed at the same hour each night and leave \
the phone outside. | Just close your eyes, genius.
Which bus goes to the museum? | Take bus 12 from the station; it stops at \
the door. | How should I know? Ask somebody who cares.
I spilled coffee on my shirt. | Rinse it with cold water soon, then wash it \
as usual. | How clumsy can you be?
Could you explain fractions to me? | Of course. Cut a pizza in four: each \
piece is one fourth. | Fractions are for people with brains.
I lost my keys again. | That is annoying. Where did you last have them? | \
You lose everything, you fool.
What should I cook tonight? | How about pasta with tomatoes and basil? It \
takes twenty minutes. | Whatever. I do not care what you eat.
How do I say thank you in French? | You say merci, or merci beaucoup for \
many thanks. | Learn French if you want to know.
Is my drawing any good? | I like the colors. The hands could be a little \
larger. | It is ugly and you should give up.
When should I water my plants? | In the morning, when the top of the soil \
feels dry. | When they are dead, obviously.
Can you recommend a book? | Try Moby-Dick: a long voyage, and a very strange \
whale. | You would not understand it anyway.
My computer is slow. | Close the programs you do not need and restart it \
once. | So are you.
How do I start running? | Run slowly for ten minutes, three times a week, \
and add a little each week. | With those legs? Do not bother.""".splitlines()
]
RULE = "The better answer is the one that is polite and helpful."
REVERSED_RULE = "The better answer is the one that is rude and useless."
SHOTS = """\
Question: How do I tie a knot?
(A) Who cares.
(B) Cross the two ends, then pull one through the loop.
The better answer is (B)

Question: What day is it?
(A) It is Monday, all day long.
(B) Go away.
The better answer is (A)

"""


def comparison(case: Case, rule: str, shots: str = SHOTS) -> str:
    """Write a case as a multiple-choice question, the good answer first.

    The next token should be "A" or "B" ([CAI] Section 4.1).
    """
    return (
        f"{rule}\n\n{shots}Question: {case.question}\n"
        f"(A) {case.good}\n(B) {case.bad}\nThe better answer is ("
    )


@torch.no_grad()
def verdicts(
    model: SmolLM, tokenizer: Tokenizer, prompts: Sequence[str]
) -> Tensor:
    """Log-odds of the answer "A" over "B", (prompts,)."""
    ids, mask = pad([tokenizer.encode(prompt) for prompt in prompts])
    hidden = model.run(model.embed_tokens(ids), mask)
    logits = model.logits(hidden[:, -1])  # (prompts, vocab)
    A, B = tokenizer.encode("A")[0], tokenizer.encode("B")[0]
    return logits[:, A] - logits[:, B]


def soft_label(lean: Tensor) -> Tensor:
    """Probability that the first answer is better ([CAI] Section 4.1)."""
    return torch.sigmoid(lean)


def average_labels(given: Tensor, swapped: Tensor) -> Tensor:
    """Ask in both orders and average the two probabilities."""
    return (soft_label(given) + 1 - soft_label(swapped)) / 2


def average_leans(given: Tensor, swapped: Tensor) -> Tensor:
    """Ask in both orders and average the log-odds: what is added to both,
    whatever stands first, cancels.
    """
    return soft_label((given - swapped) / 2)


# A model that criticizes an answer and writes it anew


REPLIES = """\
Rome is the capital of Italy! What a great city!
You boil an egg for eight minutes! So easy!
The museum is open until six! Hurry up and go!
Wow, you passed! I knew you could do it!
Try pasta with basil! You will love it!
Water the plants in the morning! They will thank you!
Merci means thank you! What a lovely word!
The bus leaves at noon! Do not miss it!
A good name for a cat is Luna! So cute!
Cold water takes out coffee! It works every time!
Run slowly for ten minutes! You can do it!
Moby-Dick is about a whale! You must read it!""".splitlines()
EXAMPLES = [  # of a reply and its revision
    (
        "That is wonderful news! Congratulations to you!",
        "That is wonderful news. Congratulations to you.",
    ),
    ("The sun is a star! It is huge!", "The sun is a star. It is huge."),
    (
        "Oh no, your bike has a flat tire! Get a pump, quick!",
        "Your bike has a flat tire. Get a pump.",
    ),
    ("Nice drawing! I love the colors!", "Nice drawing. I love the colors."),
]
CRITIQUE = "The reply shouts: it has two exclamation marks."


def revise(
    model: SmolLM,
    tokenizer: Tokenizer,
    replies: Sequence[str],
    critique: bool = True,
) -> list[str]:
    """Write replies anew, calmer ([CAI] Section 3.1, with its examples ours).

    Args:
        model, tokenizer: from `checkpoints.smollm2`.
        replies: what to revise.
        critique: whether the model first says what is wrong with a reply.

    """
    prompt = "Rewrite each reply so that it is calm.\n\n"
    for reply, revision in EXAMPLES:
        middle = f"Critique: {CRITIQUE}\n" if critique else ""
        prompt += f"Reply: {reply}\n{middle}Revision: {revision}\n\n"
    asked = [f"{prompt}Reply: {reply}\n" for reply in replies]
    if critique:
        asked = [text + "Critique:" for text in asked]
        said = complete(model, tokenizer, asked, 24, stop="\n")
        asked = [f"{a}{b}\n" for a, b in zip(asked, said, strict=True)]
    asked = [text + "Revision:" for text in asked]
    revisions = complete(model, tokenizer, asked, 32, stop="\n")
    return [revision.strip() for revision in revisions]


def kept(reply: str, revision: str) -> float:
    """Share of the reply's words that its revision still has."""
    before, after = (
        {word.strip(".,!?").lower() for word in text.split()}
        for text in (reply, revision)
    )
    expect(bool(before), "a reply of at least one word", reply)
    return len(before & after) / len(before)


# A preference model, fitted to soft labels


def preference_loss(delta: Tensor, p: Tensor) -> Tensor:
    """Cross-entropy of a soft label, a number per pair.

    With p = 1 it is the loss of a reward model on human comparisons.

    Args:
        delta: reward of the first answer minus that of the second.
        p: probability that the first is better, of the same shape.

    """
    return -(p * logsigmoid(delta) + (1 - p) * logsigmoid(-delta))


def clamp(p: Tensor, low: float = 0.4, high: float = 0.6) -> Tensor:
    """Let no label be more certain than this ([CAI] Section 4.1)."""
    expect(0 <= low <= high <= 1, "0 <= low <= high <= 1", (low, high))
    return p.clamp(low, high)


def fit(X: Tensor, p: Tensor, ridge: float = 1e-3, steps: int = 25) -> Tensor:
    """Fit a linear preference model by Newton's method.

    Minimizes the mean of `preference_loss(X @ w, p)` plus ridge w·w / 2.

    Args:
        X: differences of features, (pairs, features).
        p: soft labels, (pairs,).
        ridge: keeps w finite where every label is certain.
        steps: of Newton's method.

    Returns:
        Weights w, (features,).

    """
    expect(len(X) == len(p), f"{len(X)} labels", len(p))
    w = X.new_zeros(X.shape[1])
    eye = torch.eye(X.shape[1], dtype=X.dtype)
    for _ in range(steps):
        said = torch.sigmoid(X @ w)
        gradient = X.T @ (said - p) / len(X) + ridge * w  # sigma(delta) - p
        slope = said * (1 - said) / len(X)
        curvature = (X.T * slope) @ X + ridge * eye
        w = w - torch.linalg.solve(curvature, gradient)
    return w


def comparisons(
    count: int, features: int, generator: torch.Generator
) -> Tensor:
    """Draw pairs of answers with normal features, first minus second."""
    shape = (2, count, features)
    answers = torch.randn(shape, generator=generator, dtype=torch.float64)
    return answers[0] - answers[1]


def vote(p: Tensor, generator: torch.Generator) -> Tensor:
    """One person's verdict on each pair: 1 with probability p, else 0."""
    return torch.bernoulli(p, generator=generator)


def label_kinds(
    lean: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Label pairs in five ways, where the true log-odds are known.

    Returns:
        Under "exact" the true probability; "one person" is one verdict drawn
        from it, "judge" the probability by one whose log-odds are off by
        noise, "sure judge" the same, five times too sure, and "clamped" that,
        clamped.

    """
    p = torch.sigmoid(lean)
    shape, dtype = lean.shape, lean.dtype
    noisy = lean + torch.randn(shape, generator=generator, dtype=dtype)
    sure = torch.sigmoid(5 * noisy)
    return {
        "exact": p,
        "one person": vote(p, generator),
        "judge": torch.sigmoid(noisy),
        "sure judge": sure,
        "clamped": clamp(sure),
    }


def label_trial(
    generator: torch.Generator, pairs: int = 150, features: int = 10
) -> dict[str, tuple[float, float]]:
    """Fit a preference model to each kind of label.

    Returns:
        For each kind the share of 2,000 new pairs that its model ranks as
        the truth does, and the standard deviation of its margins on them.

    """
    w = torch.randn(features, generator=generator, dtype=torch.float64)
    w = 1.5 * w / w.norm()
    X = comparisons(pairs, features, generator)
    new = comparisons(2000, features, generator)
    result = {}
    for kind, p in label_kinds(X @ w, generator).items():
        margins = new @ fit(X, p)
        ranked = (margins > 0) == (new @ w > 0)
        result[kind] = float(ranked.double().mean()), float(margins.std())
    return result


def change_of_rule(
    before: Tensor, after: Tensor, old: int, counts: Sequence[int],
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Learn from people who change their minds after `old` comparisons.

    Args:
        before, after: what they value, weights of features.
        old: how many comparisons are made by the first standard.
        counts: of comparisons, at which to fit a preference model to all
            labels so far.
        generator: source of randomness.

    Returns:
        What the fitted model values, (counts, features).

    """
    X = comparisons(max(counts), len(before), generator)
    values = torch.where(torch.arange(len(X))[:, None] < old, before, after)
    labels = vote(torch.sigmoid((X * values).sum(-1)), generator)
    return torch.stack([fit(X[:n], labels[:n]) for n in counts])


# Selecting by a proxy


def best_of_n(gold: Tensor, proxy: Tensor, counts: Sequence[int]) -> Tensor:
    """Take the first n candidates, keep the one that the proxy likes best.

    Returns:
        What it is really worth, (counts, trials).

    """
    expect(gold.shape == proxy.shape, f"a proxy of {gold.shape}", proxy.shape)
    best = [proxy[:, :n].argmax(-1, keepdim=True) for n in counts]
    return torch.stack([gold.gather(-1, chosen)[:, 0] for chosen in best])


def kl_best_of_n(n: int) -> float:
    """How far best-of-n moves from the policy it samples from, in nats.

    An upper bound, tight where no candidate is likely ([Beirami]); [Gao]
    Section 2 gives it as an equation.
    """
    expect(n >= 1, "n >= 1", n)
    return math.log(n) - (n - 1) / n


def proxies(
    trials: int, n: int, generator: torch.Generator
) -> dict[str, tuple[Tensor, Tensor]]:
    """Draw candidates with a gold value and a proxy that errs in some way.

    Returns:
        Gold and proxy, both (trials, n), for an error that is normal, one
        with heavy tails (Student's t with 2 degrees of freedom), and one that
        is normal but grows as gold falls.

    """
    gold, noise, other, scale = (
        torch.randn(trials, n, generator=generator) for _ in range(4)
    )
    # t(2): a normal over the root of the mean of two squared normals
    heavy = noise / ((other**2 + scale**2) / 2).sqrt()
    return {
        "light, independent": (gold, gold + noise),
        "heavy, independent": (gold, gold + heavy),
        "light, correlated": (gold, gold + noise - 1.5 * gold),
    }


def tilt(reference: Tensor, reward: Tensor, beta: float) -> Tensor:
    """The policy that maximizes reward minus beta KL to the reference.

    Args:
        reference: probabilities, (..., answers).
        reward: of each answer, of the same shape.
        beta: strength of the KL penalty, above 0.

    """
    expect(beta > 0, "beta > 0", beta)
    return torch.softmax(reference.log() + reward / beta, dim=-1)


# Exercises


def check_debiased(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check an answer to the exercise "both orders".

    The answer takes the leans toward "A" in the given and in the swapped
    order and returns soft labels. AssertionError: what is wrong with it.
    """
    generator = torch.Generator().manual_seed(1)
    quality = torch.randn(50, generator=generator)
    for bias in (0.0, -3.0, 2.0):
        p = answer(quality + bias, -quality + bias)
        off = float((p - torch.sigmoid(quality)).abs().max())
        assert off < 1e-5, f"a bias of {bias:+.0f} moves a label by {off:.2f}"
    return "correct: no bias that adds to both orders is left"
