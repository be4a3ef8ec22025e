"""Our ridge regression and gradient step against scikit-learn.

float64 on both sides; sums in another order give 1e-13 relative.
"""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, SGDRegressor

from snippets import icl

GENERATOR = torch.Generator().manual_seed(torch.seed() % 2**32)  # fresh


@pytest.mark.parity(
    ours="icl.ridge",
    theirs="scikit-learn: Ridge",
    convention="no intercept; sum of squares plus penalty, no 1/2, no 1/N",
    tolerance="1e-9 relative, float64",
)
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("targets", [1, 3])
def test_ridge(penalty: float, targets: int) -> None:
    """Ridge without intercept: sum of squares + alpha |w|², no 1/2, no N."""
    X, _ = icl.regression_tasks(1, 19, 6, GENERATOR)
    Y = torch.randn(20, targets, generator=GENERATOR, dtype=torch.float64)
    theirs = Ridge(alpha=penalty, fit_intercept=False)
    theirs.fit(X[0].numpy(), Y.numpy())
    np.testing.assert_allclose(
        icl.ridge(X[0], Y, penalty).numpy(),
        theirs.coef_.reshape(targets, 6),
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parity(
    ours="icl.gradient_step",
    theirs="scikit-learn: SGDRegressor",
    convention="squared error with 1/2, one example",
    tolerance="1e-9 relative, float64",
)
def test_gradient_step() -> None:
    """SGD on (w x - y)² / 2, one example: our step with N = 1."""
    X, Y = icl.regression_tasks(1, 1, 5, GENERATOR)
    x, y = X[0, :1], Y[0, :1]
    W0 = torch.randn(1, 5, generator=GENERATOR, dtype=torch.float64)
    theirs = SGDRegressor(
        alpha=0, eta0=0.3, fit_intercept=False, learning_rate="constant"
    )
    theirs.coef_, theirs.intercept_ = W0[0].numpy().copy(), np.zeros(1)
    theirs.partial_fit(x.numpy(), y[:, 0].numpy())
    np.testing.assert_allclose(
        icl.gradient_step(W0, x, y, 0.3)[0].numpy(), theirs.coef_, rtol=1e-9
    )
