"""Scores and their uncertainty, against closed forms and brute force."""

import pytest
import torch

from snippets import evaluation as e


def test_wilson() -> None:
    """Eight of ten, and none of ten (Wilson 1927; any table)."""
    low, high = e.wilson(torch.tensor([8.0, 0.0]), 10)
    assert low.tolist() == pytest.approx([0.4902, 0.0], abs=1e-4)
    assert high.tolist() == pytest.approx([0.9433, 0.2775], abs=1e-4)
    with pytest.raises(ValueError, match="tries > 0, got 0"):
        e.wilson(torch.tensor(0), 0)
