"""Our preference loss and its fit against PyTorch's and scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import binary_cross_entropy_with_logits

from snippets import constitution


@pytest.mark.parity(
    ours="constitution.preference_loss",
    theirs="PyTorch: binary_cross_entropy_with_logits",
    convention="a soft target, a number per pair",
    tolerance="1e-12, float64",
)
def test_preference_loss(generator: torch.Generator) -> None:
    """The same cross-entropy, written by others."""
    delta = 5 * torch.randn(200, generator=generator, dtype=torch.float64)
    p = torch.rand(200, generator=generator, dtype=torch.float64)
    theirs = binary_cross_entropy_with_logits(delta, p, reduction="none")
    torch.testing.assert_close(
        constitution.preference_loss(delta, p), theirs, rtol=0, atol=1e-12
    )


@pytest.mark.parity(
    ours="constitution.fit",
    theirs="scikit-learn: LogisticRegression",
    convention="no intercept; C = 1 / (pairs * ridge); a soft label is two"
    " weighted rows",
    tolerance="1e-5, their solver's",
)
def test_fit(generator: torch.Generator) -> None:
    """A pair with label p is a win of weight p and a loss of weight 1 - p."""
    X = constitution.comparisons(120, 4, generator)
    p = torch.rand(120, generator=generator, dtype=torch.float64)
    ridge = 0.01
    theirs = LogisticRegression(
        C=1 / (120 * ridge), fit_intercept=False, tol=1e-10, max_iter=1000
    )
    theirs.fit(
        np.concatenate([X, X]),
        np.repeat([1, 0], 120),
        sample_weight=np.concatenate([p, 1 - p]),
    )
    np.testing.assert_allclose(
        constitution.fit(X, p, ridge).numpy(), theirs.coef_[0], atol=1e-5
    )
