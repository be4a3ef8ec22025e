"""What the tests of several lessons share."""

import copy

import pytest
import torch

from snippets import checkpoints
from snippets.smollm import SmolLM


@pytest.fixture(scope="session")
def shuffled() -> SmolLM:
    """The real model, the numbers of each weight in another order.

    The control of every experiment on it: what the shuffled model does too
    is not the weights' doing.
    """
    model = copy.deepcopy(checkpoints.smollm2()[0])
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        order = torch.randperm(weight.numel(), generator=generator)
        weight.data = weight.flatten()[order].view_as(weight)
    return model
