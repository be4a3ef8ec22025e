"""State space models, and the matrix that each of them multiplies by.

Papers:

- [S4] Gu, Goel, Ré 2022, Efficiently Modeling Long Sequences with Structured
  State Spaces (arXiv 2111.00396)
- [Mamba] Gu, Dao 2024, Mamba: Linear-Time Sequence Modeling with Selective
  State Spaces (arXiv 2312.00752)
- [SSD] Dao, Gu 2024, Transformers are SSMs (arXiv 2405.21060)
- [Delta] Yang et al. 2024, Parallelizing Linear Transformers with the Delta
  Rule over Sequence Length (arXiv 2406.06484)
- [GDN] Yang, Kautz, Hatamizadeh 2025, Gated Delta Networks (arXiv 2412.06464)

Names::

    code     paper                        meaning, shape
    T, N, P  T, N, P                      tokens, state size, head dimension
    X, Y     X, Y                         inputs and outputs, (T, P)
    B, C     B, C                         write and read vectors, (T, N)
    k, q     k, q in [Delta], [GDN]       the same for one token, (N,)
    v        v                            what is written for it, (P,)
    beta     β in [Delta], [GDN]          how much of an error is corrected
    chunk    Q in [SSD]                   tokens in a chunk
    H        h in [SSD], Sᵀ in [Delta]    state, (N, P)
    a        A_t in [SSD], Ā_t in [Mamba] decay, (T, N), or (T, 1) if scalar
    log_a    A * dt in the official code  Δ_t A with a scalar A, (T,)
    dt       Δ                            how long a token is held, (T,)
    L, M     L, M                         decay mask, whole map, (T, T)

One head, one sequence, no batch, as the equations are written. Nothing here
is trained and nothing is fast. The official code is state-spaces/mamba; its
`ssd_minimal.py` is the paper's Listing 1 with a stable `segsum`. It computes
all chunks at once and carries batch and head axes.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad, softplus
from torch.utils.flop_counter import FlopCounterMode

from snippets.arguments import expect

# What the next token costs


def attention_step(q: Tensor, K: Tensor, V: Tensor) -> Tensor:
    """Attend from a query (N,) to a cache of T keys (T, N) and values (T, P).

    Returns the output of this token, (P,).
    """
    scores = q[None, :] @ K.T / q.shape[0] ** 0.5  # (1, T)
    y: Tensor = (scores.softmax(-1) @ V)[0]
    return y


def recurrent_step(
    H: Tensor, a: Tensor, b: Tensor, c: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Fold an input x (P,) into the state H (N, P), then read it.

    H' = diag(a) H + b xᵀ and y = H'ᵀ c ([SSD] Eq. 2, for P channels). The
    decay a is (N,), or (1,) when all N entries share it; b and c are (N,).
    """
    H = a[:, None] * H + b[:, None] @ x[None, :]  # forget, then write
    return H, (c[None, :] @ H)[0]  # read


def matmul_flops(step: Callable[..., object], *inputs: Tensor) -> int:
    """Count the floating-point operations of a step's matrix products.

    A multiply-add is two operations. Element-wise work (the softmax, the
    decay) is not counted. Tensors on the "meta" device have shapes and no
    numbers, so that counting a long cache costs no memory.
    """
    with FlopCounterMode(display=False) as counter:
        step(*inputs)
    return int(counter.get_total_flops())


def next_token_flops(length: int, state: int, channels: int) -> list[int]:
    """Count the next token's work after `length` tokens, for one head.

    Returns the operations of attention with a KV cache, and of a recurrence.
    """

    def shaped(*shape: int) -> Tensor:
        return torch.empty(shape, device="meta")

    c, x = shaped(state), shaped(channels)
    cache = shaped(length, state), shaped(length, channels)
    H, a, b = shaped(state, channels), shaped(1), shaped(state)
    return [
        matmul_flops(attention_step, c, *cache),
        matmul_flops(recurrent_step, H, a, b, c, x),
    ]


# From continuous time to a recurrence


def _check_hold(A: Tensor, B: Tensor, dt: Tensor) -> None:
    expect(A.ndim == 1, "A of shape (N,)", tuple(A.shape))
    expect(bool((A < 0).all()), "A < 0, a state that decays", A.tolist())
    expect(dt.ndim == 1, "dt of shape (T,)", tuple(dt.shape))
    expect(bool((dt >= 0).all()), "dt >= 0", f"{float(dt.min())}")
    n, t = A.shape[0], dt.shape[0]
    allowed = B.shape in {(n,), (t, n)}
    expect(allowed, f"B of shape ({n},) or ({t}, {n})", tuple(B.shape))


def discretize(A: Tensor, B: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    """Solve h' = A h + B x exactly while x is held for times dt (T,).

    The zero-order hold ([Mamba] Eq. 4) of a diagonal A (N,) < 0; B is (N,),
    or (T, N). Returns Ā and B̄, (T, N). ValueError: A grows, dt is negative,
    or shapes do not fit.
    """
    _check_hold(A, B, dt)
    dtA = dt[:, None] * A  # (T, N)
    return dtA.exp(), dtA.expm1() / A * B


def recurrence(a: Tensor, B: Tensor, C: Tensor, X: Tensor) -> Tensor:
    """Run a state space model one token after the other, from H = 0.

    H_t = diag(a_t) H_{t-1} + B_t X_tᵀ and Y_t = H_tᵀ C_t ([SSD] Eq. 2). The
    decays a are (T, N) for a diagonal A, (T, 1) for a scalar one (SSD); B and
    C are (T, N), X and the returned Y (T, P). ValueError: shapes do not fit.
    """
    expect(B.ndim == 2, "B of shape (T, N)", tuple(B.shape))
    t, n = B.shape
    expect(C.shape == B.shape, f"C of shape ({t}, {n})", tuple(C.shape))
    expect(X.ndim == 2 and len(X) == t, f"X of shape ({t}, P)", (*X.shape,))
    allowed = a.shape in {(t, n), (t, 1)}
    expect(allowed, f"a of shape ({t}, {n}) or ({t}, 1)", tuple(a.shape))
    H = X.new_zeros(n, X.shape[1])  # (N, P)
    outputs = []
    for token in zip(a, B, C, X, strict=True):
        H, y = recurrent_step(H, *token)
        outputs.append(y)
    return torch.stack(outputs)


# A toy for selection: hold the last marked value


def marked_stream(
    streams: int, length: int, rate: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw streams of noise in which the last marked value counts.

    A one-item version of the selective copying task ([Mamba] Section 3.1). A
    token is marked with probability `rate`, the first always. Returns values
    (standard normal), marks (0 or 1) and targets (the value at the most
    recent mark), each (streams, length). ValueError: a rate outside (0, 1].
    """
    expect(0 < rate <= 1, "0 < rate <= 1", rate)
    shape = (streams, length)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    marks = torch.rand(shape, generator=generator, dtype=torch.float64) < rate
    marks[:, 0] = True
    positions = torch.arange(length).expand(shape)
    latest = torch.where(marks, positions, 0).cummax(dim=1).values
    return values, marks.double(), values.gather(1, latest)


def lags(U: Tensor) -> Tensor:
    """Lay out what a causal convolution of U (streams, T, channels) sees.

    Returns for each token its inputs and all earlier ones, newest first,
    zeros before the start: (streams, T, channels * T).
    """
    expect(U.ndim == 3, "U of shape (streams, T, channels)", tuple(U.shape))
    length = U.shape[1]
    padded = pad(U, (0, 0, length - 1, 0))
    return padded.unfold(1, length, 1).flip(-1).flatten(2)


def best_kernel(U: Tensor, target: Tensor) -> Tensor:
    """Find the causal convolution with the smallest squared error.

    From inputs U (streams, T, channels) to a target (streams, T), by least
    squares. No linear time-invariant state space model can fit better,
    whatever its size: all of them are causal convolutions ([Mamba] Eq. 3).
    Returns the kernel, (channels * T,); `lags(U) @ kernel` applies it.
    """
    rows = lags(U).flatten(0, 1)
    fit: Tensor = torch.linalg.lstsq(rows, target.reshape(-1, 1)).solution
    return fit[:, 0]


def leaky_hold(x: Tensor, dt: Tensor) -> Tensor:
    """Run h' = -h + x, the smallest SSM, on tokens x held for dt.

    Both are (T,), and so is the result, the state after each token.
    """
    one = torch.ones(1, dtype=x.dtype)
    a, B = discretize(-one, one, dt)  # A = -1, B = 1
    return recurrence(a, B, torch.ones_like(B), x[:, None])[:, 0]


def selective_hold(values: Tensor, marks: Tensor, gain: float = 40) -> Tensor:
    """Hold the last marked value of a stream: values and marks, (T,).

    dt is a softplus of a linear function of the token ([Mamba] Section 3.2),
    whose weights are set by hand; with gain 0 the model is time-invariant.
    """
    dt = softplus(gain * (marks - 0.5))  # marked: long; unmarked: almost 0
    return leaky_hold(values, dt)


# The same map as one matrix


def random_head(
    length: int, state: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one SSD head: decays between 0.7 and 1, normal B and C.

    Returns log_a, (T,), and B and C, (T, N), for T = length, N = state.
    """
    uniform = torch.rand(length, generator=generator, dtype=torch.float64)
    B, C = torch.randn(
        2, length, state, generator=generator, dtype=torch.float64
    )
    return (0.7 + 0.3 * uniform).log(), B, C


def _check_decays(log_a: Tensor) -> None:
    expect(log_a.ndim == 1, "log_a of shape (T,)", tuple(log_a.shape))
    expect(bool((log_a <= 0).all()), "log_a <= 0", f"{float(log_a.max())}")


def decay_mask(log_a: Tensor) -> Tensor:
    """Build L (T, T): L[i, j] = a_i a_{i-1} ... a_{j+1}, 0 for i < j.

    Each entry sums its own log_a, as the official code's `segsum`:
    differences of one running sum would lose digits on long sequences, and
    give NaN for a decay of 0. ValueError: log_a is not (T,), or above 0.
    """
    _check_decays(log_a)
    terms = log_a[:, None].expand(-1, len(log_a))  # row k holds log a_k
    below = torch.ones_like(terms, dtype=torch.bool).tril(-1)  # k > j
    # down column j: sums over k = j+1 ... i
    return terms.masked_fill(~below, 0).cumsum(0).exp().tril()


def ssd_matrix(log_a: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Write an SSD head as one matrix, M = L ∘ (C Bᵀ) ([SSD] Section 5.1).

    `M @ X` is what `recurrence` computes. log_a is (T,), B and C are (T, N).
    ValueError: shapes do not fit.
    """
    expect(B.shape == C.shape, f"B of C's shape {(*C.shape,)}", (*B.shape,))
    expect(len(B) == len(log_a), f"B of {len(log_a)} rows", len(B))
    M: Tensor = decay_mask(log_a) * (C @ B.T)
    return M


def softmax_matrix(Q: Tensor, K: Tensor) -> Tensor:
    """Causal softmax attention weights of queries and keys, (T, T)."""
    expect(Q.shape == K.shape, f"K of Q's shape {(*Q.shape,)}", (*K.shape,))
    scores = Q @ K.T / Q.shape[1] ** 0.5
    future = torch.ones_like(scores, dtype=torch.bool).triu(1)
    weights: Tensor = scores.masked_fill(future, -torch.inf).softmax(-1)
    return weights


# The state as a bottleneck


def past_to_future(M: Tensor, split: int) -> Tensor:
    """Cut out the block M[split:, :split] that leads past to future.

    M is (T, T), and 0 < split < T is the first token of the future.
    ValueError: M is not square, or one side of the split is empty.
    """
    square = M.ndim == 2 and M.shape[0] == M.shape[1]
    expect(square, "a square M", tuple(M.shape))
    expect(0 < split < len(M), f"0 < split < {len(M)}", split)
    return M[split:, :split]


def through_state(
    log_a: Tensor, B: Tensor, C: Tensor, split: int
) -> tuple[Tensor, Tensor]:
    """Factor the past-to-future block through the state ([SSD] Eq. 5).

    Returns read (T - split, N) and write (N, split): `write @ X[:split]` is
    the state after the past, and `read @ write` is the block.
    """
    L = decay_mask(log_a)
    past_to_future(L, split)  # checks the split
    write = (L[split - 1, :split, None] * B[:split]).T
    since = (L[split:, split] * log_a[split].exp())[:, None]
    return since * C[split:], write


# Chunks: attention inside, a recurrence between


def chunked(
    log_a: Tensor, B: Tensor, C: Tensor, X: Tensor, chunk: int
) -> Tensor:
    """Run an SSD head on chunks of tokens ([SSD] Section 6).

    log_a: (T,); B, C: (T, N); X, result: (T, P). ValueError: chunk < 1.
    """
    expect(chunk >= 1, "chunk >= 1", chunk)
    H = X.new_zeros(B.shape[1], X.shape[1])  # (N, P)
    parts = (torch.split(part, chunk) for part in (log_a, B, C, X))
    outputs = []
    for a, b, c, x in zip(*parts, strict=True):
        so_far = a.cumsum(0).exp()[:, None]  # decay since the chunk began
        to_go = decay_mask(a)[-1][:, None]  # decay until it ends
        inside = ssd_matrix(a, b, c) @ x  # attention within the chunk
        outputs.append(inside + so_far * (c @ H))  # and all before it
        H = so_far[-1] * H + (to_go * b).T @ x  # the only line that waits
    return torch.cat(outputs)


def chunked_work(
    length: int, chunk: int, state: int, channels: int
) -> tuple[float, float]:
    """Count multiply-adds per token of `chunked`, for one head.

    Returns those of its matrix products, as PyTorch counts them, and those
    of the decaying state, one for each of its numbers and chunk, which no
    counter sees. (The rest of the element-wise work hardly depends on Q.)
    """
    log_a, zero = torch.zeros(length), torch.zeros
    B, C = zero(length, state), zero(length, state)
    flops = matmul_flops(
        lambda: chunked(log_a, B, C, zero(length, channels), chunk)
    )
    chunks = -(-length // chunk)
    return flops / 2 / length, chunks * state * channels / length


# Better writes


def hebbian_step(
    H: Tensor, k: Tensor, v: Tensor, a: float | Tensor = 1.0
) -> Tensor:
    """Add a pair: a step of size 1 down -⟨Hᵀk, v⟩, after a decay of a."""
    return a * H + k[:, None] @ v[None, :]


def delta_step(
    H: Tensor, k: Tensor, v: Tensor, beta: float | Tensor = 1.0
) -> Tensor:
    """Correct what k recalls: a step of size beta down ½‖Hᵀk − v‖²."""
    error = v - k @ H  # (P,)
    return H + beta * k[:, None] @ error[None, :]


def gated_delta(
    a: Tensor, beta: Tensor, K: Tensor, Q: Tensor, V: Tensor
) -> Tensor:
    """Run a gated delta rule from H = 0: forget, then correct, then read.

    H_t = (I − β_t k_t k_tᵀ) diag(a_t) H_{t-1} + β_t k_t v_tᵀ and o_t = H_tᵀ
    q_t. With decays a of shape (T, 1) this is Gated DeltaNet ([GDN] Eq. 10),
    with (T, N) the recurrence of Kimi Delta Attention, and with ones DeltaNet
    ([Delta]). beta is (T,), K and Q are (T, N), V and the result (T, P).
    """
    H = V.new_zeros(K.shape[1], V.shape[1])
    outputs = []
    for a_t, beta_t, k, q, v in zip(a, beta, K, Q, V, strict=True):
        H = delta_step(a_t[:, None] * H, k, v, beta_t)
        outputs.append(q @ H)
    return torch.stack(outputs)


# A test of memory


def pairs(
    count: int, state: int, generator: torch.Generator, again: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw pairs to remember: random unit keys, and values from a book.

    After `count` keys, the first `again` of them come once more, each beside
    another value than before. Returns the keys (count + again, N), a book of
    64 random unit values (64, 16), and which of them stands beside each key.
    ValueError: again > count.
    """
    expect(0 <= again <= count, f"0 <= again <= {count}", again)
    keys, book = (
        normalize(
            torch.randn(rows, size, generator=generator, dtype=torch.float64)
        )
        for rows, size in ((count, state), (64, 16))
    )
    first = torch.randint(64, (count,), generator=generator)
    other = torch.randint(1, 64, (again,), generator=generator)
    second = (first[:again] + other) % 64
    return torch.cat([keys, keys[:again]]), book, torch.cat([first, second])


def remember(
    K: Tensor, V: Tensor, step: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """Write pairs K (n, N), V (n, P) one by one, then read with every key.

    `step` writes one pair into a state (N, P). Returns what is read, (n, P).
    """
    H = V.new_zeros(K.shape[1], V.shape[1])
    for k, v in zip(K, V, strict=True):
        H = step(H, k, v)
    return K @ H


def least_squares(K: Tensor, V: Tensor) -> Tensor:
    """Read with every key from the state that has least ‖K H − V‖²."""
    H: Tensor = torch.linalg.pinv(K) @ V
    return K @ H


def attend(K: Tensor, V: Tensor, sharpness: float = 30) -> Tensor:
    """Read with every key by softmax attention over all pairs."""
    read: Tensor = (sharpness * K @ K.T).softmax(-1) @ V
    return read


def recall(
    memory: Callable[[Tensor, Tensor], Tensor],
    count: int,
    state: int,
    generator: torch.Generator,
    again: int = 0,
    trials: int = 40,
) -> tuple[float, float]:
    """Measure how often the nearest value in the book is the right one.

    `memory` gets keys and values and returns what each key then reads.
    Averaged over sets of `pairs`; first for the keys that came once, then
    for those that came again, where the second value is right (NaN if none).
    """
    right = []
    for _ in range(trials):
        K, book, beside = pairs(count, state, generator, again)
        nearest = torch.cdist(memory(K, book[beside]), book).argmin(1)
        right.append((nearest == beside).double())
    part = torch.stack(right).mean(0)  # by position
    return float(part[again:count].mean()), float(part[count:].mean())


def check_invisible(
    answer: Callable[[Tensor, Tensor, Tensor, int], Tensor],
) -> str:
    """Check an answer to the exercise "a past that no future can see".

    The answer takes log_a, B, C and split and returns a change of the past,
    (split,), of norm 1, that leaves all later outputs as they are.
    AssertionError: what is wrong with it.
    """
    generator = torch.Generator().manual_seed(5)
    for length, state, split in [(24, 3, 8), (40, 6, 30)]:
        log_a, B, C = random_head(length, state, generator)
        change = answer(log_a, B, C, split)
        shape = tuple(change.shape)
        assert shape == (split,), f"expected shape ({split},), got {shape}"
        size = float(change.norm())
        assert abs(size - 1) < 1e-9, f"expected length 1, got {size}"
        seen = past_to_future(ssd_matrix(log_a, B, C), split) @ change
        largest = float(seen.abs().max())
        assert largest < 1e-9, f"a later output moves by {largest:.2g}"
    return "correct: no later output moves"
