"""Our function against the field's, or why the field has none."""

import pytest
import torch
from torch.distributions import Categorical

from snippets import MODULE_NAME


@pytest.mark.parity(
    ours="MODULE_NAME.choose",
    theirs="torch: Categorical",
    convention="the caller divides the scores by the temperature",
    tolerance="1e-12, float64",
)
def test_choose() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    theirs = Categorical(logits=logits / 0.3).probs
    ours = MODULE_NAME.choose(logits, 0.3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
