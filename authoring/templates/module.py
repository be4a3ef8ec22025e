"""WHAT THIS MODULE COMPUTES, IN ONE LINE.

Papers:

- [SHORT NAME] AUTHORS YEAR, TITLE (arXiv NUMBER)

Names::

    code         paper  meaning, shape
    logits       z      scores of the choices, (..., choices)
    temperature  T      how even the choice is, above 0
"""

from collections.abc import Callable

import torch
from torch import Tensor

from snippets.arguments import expect


def choose(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Probabilities (..., choices) of choices with these scores.

    p_i = exp(z_i / T) / sum_j exp(z_j / T) (SAY THE EQUATION OF THE PAPER).

    Raises:
        ValueError: The temperature is not above 0.

    """
    expect(temperature > 0, "a temperature above 0", temperature)
    return (logits / temperature).softmax(-1)


def check_entropy(answer: Callable[[Tensor], float]) -> str:
    """Check an answer to the exercise on entropy.

    Args:
        answer: takes probabilities (choices,), returns their entropy in nats.

    Raises:
        AssertionError: What is wrong with the answer.

    """
    for p, wanted in (([0.5, 0.5], 0.6931), ([0.0, 1.0], 0.0)):
        got = float(answer(torch.tensor(p)))
        assert abs(got - wanted) < 1e-3, f"{p}: {wanted}, got {got:.4f}"
    return "correct"
