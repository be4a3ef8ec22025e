"""WHAT THE FUNCTIONS ARE HELD TO THAT IS NOT THEMSELVES."""

import pytest
import torch

from snippets import MODULE_NAME


def logits(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 7, generator=generator, dtype=torch.float64)


def test_two_choices_are_a_logistic():
    """Closed form: softmax of (z, 0) is the logistic function of z."""
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    pair = torch.stack([z, torch.zeros_like(z)], -1)
    p = MODULE_NAME.choose(pair, 0.5)[:, 0]
    torch.testing.assert_close(p, 1 / (1 + (-z / 0.5).exp()))


def test_only_differences_count():
    p = MODULE_NAME.choose(logits(), 0.7)
    torch.testing.assert_close(p, MODULE_NAME.choose(logits() + 100, 0.7))
    torch.testing.assert_close(p.sum(-1), torch.ones(5).double())


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_bad_temperature_is_refused(temperature: float):
    with pytest.raises(ValueError, match="above 0, got"):
        MODULE_NAME.choose(logits(), temperature)


def test_the_check_of_the_exercise_can_fail():
    def right(p: torch.Tensor) -> float:
        return float(-torch.xlogy(p, p).sum())

    assert MODULE_NAME.check_entropy(right) == "correct"
    with pytest.raises(AssertionError, match="got 1"):
        MODULE_NAME.check_entropy(lambda p: right(p) / 0.6931)
