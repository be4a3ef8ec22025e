"""What the lesson says of its figures and numbers, on four seeds.

Each claim stands beside a control: with the mechanism taken out it fails.
"""

import pytest
import torch

from snippets import MODULE_NAME

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2, 3])


@SEEDS
def test_the_colder_the_more_goes_to_the_first(seed: int):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, generator=generator).sort(descending=True).values
    first = [MODULE_NAME.choose(logits, T)[0] for T in (0.25, 1.0, 4.0)]
    assert first[0] > first[1] > first[2] > 1 / 4
    alike = [MODULE_NAME.choose(0 * logits, T)[0] for T in (0.25, 4.0)]
    assert alike[0] == alike[1]  # control: no scores, nothing to sharpen
