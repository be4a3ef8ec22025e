"""Our state space models and delta rules against transformers' torch paths.

Its functions compute in float32 whatever they get, and in another order, so
each comparison here is float32 against our float64. The tolerance is 1e-4 of
the largest output; 1e-5 was the most seen. Misreadings of the conventions are
far above it (`test_the_conventions_matter`).
"""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers.models.mamba.modeling_mamba import mamba_selective_scan
from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan
from transformers.models.qwen3_next.modeling_qwen3_next import (
    torch_chunk_gated_delta_rule,
    torch_recurrent_gated_delta_rule,
)

from snippets import ssm

TOLERANCE = 1e-4
T, N, P = 45, 8, 6  # no chunk length below divides T


def difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def close(ours: Tensor, theirs: Tensor) -> None:
    assert difference(ours, theirs) < TOLERANCE


@pytest.fixture
def draw(generator):
    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return draw


def selective_scan(x, dt, A, B, C) -> Tensor:
    """Theirs for one channel, which wants (batch, channel, ...)."""
    batch = [x[None, None], dt[None, None], A[None], B.T[None], C.T[None]]
    return mamba_selective_scan(*(part.float() for part in batch))[0, 0]


def chunk_scan(X, dt, A, B, C, chunk) -> Tensor:
    """Theirs for one head, which wants (batch, T, head, ...)."""
    one = X[None, :, None], dt[None, :, None], A[None]
    group = B[None, :, None], C[None, :, None]
    batch = [part.float() for part in (*one, *group)]
    return mamba2_chunk_scan(*batch, chunk_size=chunk)[0, :, 0]


def delta_rule(function, a, beta, K, Q, V, **options) -> Tensor:
    """Theirs for one head, which wants (batch, T, head, ...) and log a."""
    one = [part[None, :, None].float() for part in (Q, K, V, a.log(), beta)]
    return function(*one, **options)[0][0, :, 0]


@pytest.fixture
def mamba(draw):
    dt, A = draw(T).exp() / 4, -draw(N).exp()
    return draw(T), dt, A, draw(T, N), draw(T, N)


@pytest.fixture
def mamba2(draw):
    """X, dt, A, B, C of one head, A a scalar."""
    return draw(T, P), draw(T).exp() / 4, -draw().exp(), *draw(2, T, N)


@pytest.fixture
def delta(draw):
    a, beta = (draw(T) + 3).sigmoid(), draw(T).sigmoid()
    K, Q = normalize(draw(T, N)), normalize(draw(T, N))
    return a, beta, K, Q, draw(T, P)


@pytest.mark.parity(
    ours="ssm.recurrence",
    theirs="transformers: mamba_selective_scan",
    convention="diagonal A; writes dt B, not the exact hold",
    tolerance="1e-4 of the largest, float32",
)
def test_selective_scan(mamba) -> None:
    x, dt, A, B, C = mamba
    a, _ = ssm.discretize(A, B, dt)  # the decay is exact in both
    ours = ssm.recurrence(a, dt[:, None] * B, C, x[:, None])[:, 0]
    close(ours, selective_scan(*mamba))


@pytest.mark.parity(
    ours="ssm.discretize",
    theirs="transformers: mamba_selective_scan",
    convention="the exact hold; theirs is its limit for small dt",
    tolerance="1e-4 of the largest, float32",
)
def test_exact_hold_for_short_holds(mamba) -> None:
    x, dt, A, B, C = mamba
    dt = dt / 1e6
    a, b = ssm.discretize(A, B, dt)
    scale = 1 / dt.mean()  # outputs of size 1 again
    ours = ssm.recurrence(a, b, C, scale * x[:, None])[:, 0]
    close(ours, selective_scan(scale * x, dt, A, B, C))


@pytest.mark.parity(
    ours="ssm.recurrence, ssm.ssd_matrix",
    theirs="transformers: mamba2_chunk_scan",
    convention="log a = A dt; the caller multiplies x by dt",
    tolerance="1e-4 of the largest, float32",
)
def test_ssd(mamba2) -> None:
    X, dt, A, B, C = mamba2
    log_a, X = A * dt, dt[:, None] * X
    theirs = chunk_scan(*mamba2, chunk=16)
    close(ssm.recurrence(log_a.exp()[:, None], B, C, X), theirs)
    close(ssm.ssd_matrix(log_a, B, C) @ X, theirs)


@pytest.mark.parity(
    ours="ssm.chunked",
    theirs="transformers: mamba2_chunk_scan",
    convention="the same chunk length; the last chunk may be shorter",
    tolerance="1e-4 of the largest, float32",
)
@pytest.mark.parametrize("chunk", [1, 4, 16, 64])
def test_chunked(mamba2, chunk: int) -> None:
    X, dt, A, B, C = mamba2
    ours = ssm.chunked(A * dt, B, C, dt[:, None] * X, chunk)
    close(ours, chunk_scan(*mamba2, chunk=chunk))


@pytest.mark.parity(
    ours="ssm.gated_delta",
    theirs="transformers: Qwen3-Next, token by token",
    convention="decays before reading; theirs divides q by the root of N",
    tolerance="1e-4 of the largest, float32",
)
def test_recurrent_delta_rule(delta) -> None:
    a, beta, K, Q, V = delta
    ours = ssm.gated_delta(a[:, None], beta, K, Q / math.sqrt(N), V)
    close(ours, delta_rule(torch_recurrent_gated_delta_rule, *delta))


@pytest.mark.parity(
    ours="ssm.gated_delta",
    theirs="transformers: Qwen3-Next, in chunks",
    convention="the same, by a triangular solve within each chunk",
    tolerance="1e-4 of the largest, float32",
)
@pytest.mark.parametrize("chunk_size", [4, 64])
def test_chunked_delta_rule(delta, chunk_size: int) -> None:
    a, beta, K, Q, V = delta
    ours = ssm.gated_delta(a[:, None], beta, K, Q / math.sqrt(N), V)
    function, options = (
        torch_chunk_gated_delta_rule,
        {"chunk_size": chunk_size},
    )
    close(ours, delta_rule(function, *delta, **options))


def test_the_conventions_matter(mamba, mamba2, delta) -> None:
    """Each misreading is at least 100 tolerances away."""

    def apart(ours: Tensor, theirs: Tensor) -> bool:
        return difference(ours, theirs) > 100 * TOLERANCE

    x, dt, A, B, C = mamba
    held = ssm.recurrence(*ssm.discretize(A, B, dt), C, x[:, None])[:, 0]
    assert apart(held, selective_scan(*mamba))  # the exact hold

    X, dt, A, B, C = mamba2
    bare = ssm.chunked(A * dt, B, C, X, 16)
    assert apart(bare, chunk_scan(*mamba2, chunk=16))  # X without dt

    a, beta, K, Q, V = delta
    theirs = delta_rule(torch_recurrent_gated_delta_rule, *delta)
    plain = ssm.gated_delta(a[:, None], beta, K, Q, V)
    assert apart(plain, theirs)  # q as it is
    late = ssm.gated_delta(a.roll(-1)[:, None], beta, K, Q / math.sqrt(N), V)
    assert apart(late, theirs)  # decays after the write
