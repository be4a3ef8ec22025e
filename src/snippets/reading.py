"""What a table or a scaling plot can tell: the arithmetic of a reader.

Papers:

- [SSD] Dao, Gu 2024, Transformers are SSMs (arXiv 2405.21060)
- [Chinchilla] Hoffmann et al. 2022, Training Compute-Optimal Large Language
  Models (arXiv 2203.15556)
- [Evals] Miller 2024, Adding Error Bars to Evals (arXiv 2411.00640)

Names::

    code       meaning
    gap        the true difference of two methods, in seed noise
    noise      standard deviation of a result over training seeds
    runs       training runs of each method; their results are averaged
    shared     correlation of the two methods' results: they share seeds,
               an order of the data, or test questions
    compute    training FLOPs, 6 times parameters times tokens
    loss       nats per token

Results are taken as normally distributed. That is a model, good enough for
the question it answers here: can this gap be noise?
"""

from collections.abc import Sequence
from math import erfc, sqrt

import torch
from torch import Tensor

# [SSD] Table 2: attention layers among 48, and perplexity
HYBRIDS = {
    **{0: 8.60, 1: 8.38, 2: 8.32, 3: 8.29, 4: 8.29, 5: 8.28, 6: 8.26},
    **{7: 8.27, 9: 8.28, 11: 8.30, 15: 8.34, 24: 8.50},
}
TRANSFORMER = 8.68  # its last column

# [SSD] Table 9: parameters and training tokens of the scaling plot
SIZES = {125e6: 2.5e9, 350e6: 7e9, 760e6: 15e9, 1.3e9: 26e9}


def spread(runs: int, shared: float = 0.0) -> float:
    """The standard deviation of an observed gap, in seed noise.

    Two means of `runs` results each: Var = (1 + 1 - 2 shared) / runs, as for
    paired differences in [Evals].
    """
    if runs < 1 or not -1 <= shared <= 1:
        raise ValueError(
            "expected runs of at least 1 and a correlation from -1 to 1, "
            f"got {runs} and {shared}"
        )
    return sqrt(2 * (1 - shared) / runs)


def misranked(gap: float, runs: int = 1, shared: float = 0.0) -> float:
    """How often the worse method looks better, when `gap` is the truth."""
    width = spread(runs, shared)
    return erfc(gap / (width * sqrt(2))) / 2 if width else float(gap < 0)


def misranked_in_trials(
    gap: float, runs: int, trials: int, generator: torch.Generator
) -> float:
    """The same, by training both methods again and again: no formula."""
    seeds = torch.randn(trials, 2, runs, generator=generator)
    worse, better = seeds.mean(-1).unbind(-1)
    return float((worse > better + gap).double().mean())


def trend(x: Tensor, y: Tensor) -> Tensor:
    """Smooth a sweep: the best quadratic in the square root of x."""
    powers = x.double().sqrt()[:, None] ** torch.arange(3)
    smooth: Tensor = powers @ (torch.linalg.pinv(powers) @ y.double())
    return smooth


def scatter(y: Tensor, smooth: Tensor) -> float:
    """The standard deviation around a trend that took three parameters."""
    return float(((y - smooth).square().sum() / (len(y) - 3)).sqrt())


def lowest_again(
    truth: Tensor, noise: float, trials: int, generator: torch.Generator
) -> Tensor:
    """How often each row of a table is the lowest when all are run again."""
    table = truth + noise * torch.randn(
        trials, len(truth), generator=generator, dtype=torch.float64
    )
    return table.argmin(-1).bincount(minlength=len(truth)) / trials


def chinchilla(params: Tensor, tokens: Tensor) -> Tensor:
    """A loss law: [Chinchilla] Equation 10, fitted to other data."""
    return 1.69 + 406.4 / params**0.34 + 410.7 / tokens**0.28


def power_law(
    compute: Tensor, loss: Tensor, at: Tensor, floors: Sequence[float] = (0,)
) -> Tensor:
    """Fit loss = floor + a compute^b, and say what it predicts elsewhere.

    For every floor the fit is a line in log-log axes; the floor whose fit
    misses least is taken. `loss` is (trials, points), the predictions are
    (trials, len(at)).
    """
    floor = torch.tensor(floors, dtype=torch.float64)[:, None]  # (floors, 1)
    if not (floor < loss.min()).all():
        raise ValueError(
            f"expected floors below every loss, {loss.min():.3f}, "
            f"got {floor.max():.3f}"
        )
    line = torch.stack([torch.ones_like(compute), compute.log()])
    beyond = torch.stack([torch.ones_like(at), at.log()])
    # (trials, floors, 2): the intercept and the slope of each line
    lines = (loss[:, None, :] - floor).log() @ torch.linalg.pinv(line)
    missed = (floor + (lines @ line).exp() - loss[:, None]).square().sum(-1)
    best = missed.argmin(-1)
    predicted: Tensor = floor + (lines @ beyond).exp()
    return predicted[torch.arange(len(best)), best]
