"""The state space snippets against closed forms, loops and brute force."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from snippets import ssm


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def head(seed: int, length: int = 24, state: int = 5, channels: int = 3):
    log_a, B, C = ssm.random_head(length, state, seeded(seed))
    return log_a, B, C, normal(seed + 100, length, channels)


class TestCost:
    def test_attention_step_is_pytorch_attention(self) -> None:
        q, K, V = normal(0, 8), normal(1, 20, 8), normal(2, 20, 4)
        reference = torch.nn.functional.scaled_dot_product_attention(
            q[None, None], K[None], V[None]
        )
        torch.testing.assert_close(
            ssm.attention_step(q, K, V), reference[0, 0]
        )

    def test_recurrent_step_entry_by_entry(self) -> None:
        H, a = normal(0, 3, 2), normal(1, 3)
        b, c, x = normal(2, 3), normal(3, 3), normal(4, 2)
        new, y = ssm.recurrent_step(H, a, b, c, x)
        for p in range(2):
            total = 0.0
            for n in range(3):
                expected = a[n] * H[n, p] + b[n] * x[p]
                torch.testing.assert_close(new[n, p], expected)
                total += float(c[n] * expected)
            assert float(y[p]) == pytest.approx(total)

    @pytest.mark.parametrize(("T", "N", "P"), [(7, 3, 5), (64, 16, 8)])
    def test_counts_are_the_formulas(self, T: int, N: int, P: int) -> None:
        """Two operations per multiply-add: two products in each step."""
        attention, recurrent = ssm.next_token_flops(T, N, P)
        assert attention == 2 * T * (N + P)
        assert recurrent == 4 * N * P

    def test_counter_counts_what_runs(self) -> None:
        flops = ssm.matmul_flops(torch.mm, normal(0, 3, 4), normal(1, 4, 5))
        assert flops == 2 * 3 * 4 * 5


class TestDiscretize:
    def test_against_the_matrix_exponential(self) -> None:
        """Van Loan: both come from one exponential of an augmented matrix."""
        A, B = -normal(0, 4).abs() - 0.1, normal(1, 4)
        dt = torch.tensor([0.01, 0.5, 3.0], dtype=torch.float64)
        a_bar, b_bar = ssm.discretize(A, B, dt)
        for t, step in enumerate(dt):
            block = torch.zeros(5, 5, dtype=torch.float64)
            block[:4, :4], block[:4, 4] = A.diag(), B
            exact = torch.matrix_exp(step * block)
            torch.testing.assert_close(a_bar[t].diag(), exact[:4, :4])
            torch.testing.assert_close(b_bar[t], exact[:4, 4])

    def test_against_a_numerical_solution(self) -> None:
        """Many small midpoint steps of h' = A h + B x with x held."""
        A, B, h0, x, dt = -1.3, 0.7, 0.4, -2.0, 1.5
        h, steps = h0, 20_000
        for _ in range(steps):
            half = h + dt / steps / 2 * (A * h + B * x)
            h += dt / steps * (A * half + B * x)
        tensors = (torch.tensor([v], dtype=torch.float64) for v in (A, B, dt))
        a_bar, b_bar = ssm.discretize(*tensors)
        assert float(a_bar * h0 + b_bar * x) == pytest.approx(h, abs=1e-8)

    def test_two_holds_are_one_long_hold(self) -> None:
        A, B = -normal(0, 4).abs(), normal(1, 4)
        dt = torch.tensor([0.3, 0.9, 1.2], dtype=torch.float64)
        (a1, a2, a3), (b1, b2, b3) = ssm.discretize(A, B, dt)
        torch.testing.assert_close(a2 * a1, a3)
        torch.testing.assert_close(a2 * b1 + b2, b3)

    def test_no_time_ignores_and_long_time_resets(self) -> None:
        A, B = torch.tensor([-2.0]), torch.tensor([3.0])
        a_bar, b_bar = ssm.discretize(A, B, torch.tensor([0.0, 1e3]))
        assert a_bar.flatten().tolist() == [1, 0]
        assert b_bar.flatten().tolist() == [0, 1.5]  # -B / A

    def test_small_steps_are_eulers(self) -> None:
        """B̄ = dt B + O(dt²), the rule of the official Mamba code."""
        A, B = -normal(0, 4).abs(), normal(1, 4)
        dt = torch.tensor([1e-3, 1e-4], dtype=torch.float64)
        _, b_bar = ssm.discretize(A, B, dt)
        off = (b_bar - dt[:, None] * B).abs()
        torch.testing.assert_close(
            off[0] / off[1], torch.full_like(B, 100), rtol=1e-3, atol=0
        )

    def test_one_write_vector_per_token(self) -> None:
        A, B, dt = -normal(0, 4).abs(), normal(1, 3, 4), normal(2, 3).abs()
        _, b_bar = ssm.discretize(A, B, dt)
        for t in range(3):
            _, alone = ssm.discretize(A, B[t], dt[t : t + 1])
            torch.testing.assert_close(b_bar[t], alone[0])

    def test_softplus_makes_the_gate_of_theorem_1(self) -> None:
        """A = -1, B = 1: h = (1 - g) h + g x with g a sigmoid."""
        z, x = normal(0, 50) * 5, normal(1, 50)
        one = torch.ones(1, dtype=torch.float64)
        a_bar, b_bar = ssm.discretize(
            -one, one, torch.nn.functional.softplus(z)
        )
        torch.testing.assert_close(b_bar[:, 0], z.sigmoid())
        torch.testing.assert_close(a_bar[:, 0], 1 - z.sigmoid())
        held = ssm.leaky_hold(x, torch.nn.functional.softplus(z))
        h = 0.0
        for g, value, expected in zip(z.sigmoid(), x, held, strict=True):
            h = float((1 - g) * h + g * value)
            assert float(expected) == pytest.approx(h)

    @pytest.mark.parametrize(
        ("A", "B", "dt", "message"),
        [
            ([-1.0, 0.5], [1.0, 1.0], [1.0], "A < 0.*0.5"),
            ([-1.0], [1.0], [1.0, -2.0], "dt >= 0, got -2.0"),
            ([-1.0], [1.0, 2.0], [1.0], r"B of shape \(1,\).*got \(2,\)"),
            ([[-1.0]], [1.0], [1.0], r"A of shape \(N,\), got \(1, 1\)"),
            ([-1.0], [1.0], [[1.0]], r"dt of shape \(T,\), got \(1, 1\)"),
        ],
    )
    def test_refuses(self, A, B, dt, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ssm.discretize(*map(torch.tensor, (A, B, dt)))


class TestRecurrence:
    def test_is_the_sum_over_all_earlier_tokens(self) -> None:
        """[SSD] Eq. 3 with a dense product of diagonal matrices."""
        _, B, C, X = head(0, length=7, state=4)
        a = normal(3, 7, 4).sigmoid()
        Y = ssm.recurrence(a, B, C, X)
        for t in range(7):
            expected = torch.zeros(3, dtype=torch.float64)
            for s in range(t + 1):
                between = torch.eye(4, dtype=torch.float64)
                for k in range(s + 1, t + 1):
                    between = a[k].diag() @ between
                expected += (C[t] @ between @ B[s]) * X[s]
            torch.testing.assert_close(Y[t], expected)

    def test_scalar_decay_is_a_constant_diagonal(self) -> None:
        log_a, B, C, X = head(1)
        a = log_a.exp()[:, None]
        torch.testing.assert_close(
            ssm.recurrence(a, B, C, X),
            ssm.recurrence(a.expand_as(B), B, C, X),
        )

    def test_time_invariant_is_a_convolution(self) -> None:
        """[Mamba] Eq. 3: the kernel is Cᵀ Āᵏ B̄."""
        length, A = 16, -normal(0, 4).abs()
        B, C, x = normal(1, 4), normal(2, 4), normal(3, length)
        dt = torch.full((length,), 0.3, dtype=torch.float64)
        a_bar, b_bar = ssm.discretize(A, B, dt)
        y = ssm.recurrence(a_bar, b_bar, C.expand(length, 4), x[:, None])
        kernel = torch.stack(
            [(C * a_bar[0] ** k * b_bar[0]).sum() for k in range(length)]
        )
        torch.testing.assert_close(
            y[:, 0], (ssm.lags(x[None, :, None]) @ kernel)[0]
        )

    def test_linear_in_the_inputs(self) -> None:
        log_a, B, C, X = head(2)
        a, other = log_a.exp()[:, None], normal(9, *X.shape)
        torch.testing.assert_close(
            ssm.recurrence(a, B, C, 2 * X + other),
            2 * ssm.recurrence(a, B, C, X) + ssm.recurrence(a, B, C, other),
        )

    @pytest.mark.parametrize(
        ("name", "shape"),
        [("a", (6, 2)), ("B", (6,)), ("C", (6, 4)), ("X", (5, 2))],
    )
    def test_refuses(self, name: str, shape: tuple[int, ...]) -> None:
        shapes = {"a": (6, 3), "B": (6, 3), "C": (6, 3), "X": (6, 2)}
        shapes[name] = shape
        inputs = {key: torch.zeros(value) for key, value in shapes.items()}
        with pytest.raises(ValueError, match=rf"expected {name} of.*got \("):
            ssm.recurrence(**inputs)


class TestHold:
    def test_targets_by_a_loop(self) -> None:
        values, marks, target = ssm.marked_stream(5, 30, 0.3, seeded(0))
        assert marks[:, 0].eq(1).all()
        for v, m, wanted in zip(values, marks, target, strict=True):
            held = math.nan
            for t in range(30):
                held = float(v[t]) if m[t] else held
                assert float(wanted[t]) == held

    def test_rate(self) -> None:
        _, marks, _ = ssm.marked_stream(200, 100, 0.2, seeded(0))
        assert float(marks[:, 1:].mean()) == pytest.approx(0.2, abs=0.01)

    @pytest.mark.parametrize("rate", [0.0, 1.5])
    def test_refuses_rate(self, rate: float) -> None:
        with pytest.raises(ValueError, match=f"0 < rate <= 1, got {rate}"):
            ssm.marked_stream(1, 2, rate, seeded(0))

    def test_lags_by_a_loop(self) -> None:
        U = normal(0, 2, 4, 3)
        rows = ssm.lags(U).reshape(2, 4, 3, 4)
        for s, t, c, j in itertools.product(
            range(2), range(4), range(3), range(4)
        ):
            expected = U[s, t - j, c] if j <= t else torch.tensor(0.0)
            assert float(rows[s, t, c, j]) == float(expected)

    def test_lags_refuses(self) -> None:
        with pytest.raises(ValueError, match=r"channels\), got \(2, 4\)"):
            ssm.lags(torch.zeros(2, 4))

    def test_best_kernel_recovers_a_convolution(self) -> None:
        U, kernel = normal(0, 40, 6, 2), normal(1, 12)
        found = ssm.best_kernel(U, ssm.lags(U) @ kernel)
        torch.testing.assert_close(found, kernel)

    def test_best_kernel_has_orthogonal_error(self) -> None:
        U, target = normal(0, 40, 6, 2), normal(1, 40, 6)
        error = ssm.lags(U) @ ssm.best_kernel(U, target) - target
        normal_equations = ssm.lags(U).flatten(0, 1).T @ error.flatten()
        assert float(normal_equations.abs().max()) < 1e-10

    def test_without_gain_it_is_time_invariant(self) -> None:
        """All marks alike: the same kernel (1 - ½) ½ᵏ everywhere."""
        values, marks, _ = ssm.marked_stream(1, 12, 0.3, seeded(0))
        y = ssm.selective_hold(values[0], marks[0], gain=0)
        kernel = 0.5 ** torch.arange(1, 13, dtype=torch.float64)
        torch.testing.assert_close(
            y, (ssm.lags(values[..., None]) @ kernel)[0]
        )


class TestMatrix:
    def test_mask_by_a_product(self) -> None:
        log_a, *_ = head(0, length=9)
        L, a = ssm.decay_mask(log_a), log_a.exp()
        for i, j in itertools.product(range(9), repeat=2):
            expected = float(a[j + 1 : i + 1].prod()) if i >= j else 0.0
            assert float(L[i, j]) == pytest.approx(expected)

    def test_mask_of_ones_and_of_one_constant(self) -> None:
        ones = torch.ones(6, 6).double()
        zeros = torch.zeros(6).double()
        assert torch.equal(ssm.decay_mask(zeros), ones.tril())
        L = ssm.decay_mask(torch.full((6,), 0.9).double().log())
        lag = torch.arange(6)[:, None] - torch.arange(6)
        torch.testing.assert_close(L, (0.9 ** lag.double()).tril())

    def test_mask_survives_a_decay_of_zero(self) -> None:
        log_a = torch.zeros(6, dtype=torch.float64)
        log_a[3] = -torch.inf
        L = ssm.decay_mask(log_a)
        expected = torch.block_diag(torch.ones(3, 3), torch.ones(3, 3))
        assert torch.equal(L, expected.double().tril())

    def test_mask_keeps_digits_that_a_running_sum_loses(self) -> None:
        """One huge decay early must not blur the decays after it."""
        log_a = torch.tensor([0.0, -1e9, -0.25, -0.5])
        expected = math.exp(-0.5)
        assert float(ssm.decay_mask(log_a)[3, 2]) == pytest.approx(expected)
        running = log_a.cumsum(0)
        assert float((running[3] - running[2]).exp()) == 1.0  # lost

    @pytest.mark.parametrize("seed", range(3))
    def test_matrix_is_the_recurrence(self, seed: int) -> None:
        log_a, B, C, X = head(seed)
        torch.testing.assert_close(
            ssm.ssd_matrix(log_a, B, C) @ X,
            ssm.recurrence(log_a.exp()[:, None], B, C, X),
            rtol=0,
            atol=1e-12,
        )

    def test_no_decay_is_causal_linear_attention(self) -> None:
        """Katharopoulos et al. 2020 without feature map and normalizer."""
        _, B, C, X = head(0)
        M = ssm.ssd_matrix(torch.zeros(24, dtype=torch.float64), B, C)
        memory = torch.cumsum(B[:, :, None] * X[:, None, :], 0)  # (T, N, P)
        torch.testing.assert_close(
            M @ X, torch.einsum("tn,tnp->tp", C, memory)
        )

    def test_softmax_is_pytorch_attention(self) -> None:
        Q, K, V = normal(0, 9, 4), normal(1, 9, 4), normal(2, 9, 3)
        reference = torch.nn.functional.scaled_dot_product_attention(
            Q[None], K[None], V[None], is_causal=True
        )
        torch.testing.assert_close(ssm.softmax_matrix(Q, K) @ V, reference[0])

    def test_random_head(self) -> None:
        log_a, B, C = ssm.random_head(1000, 8, seeded(0))
        again = ssm.random_head(1000, 8, seeded(0))
        assert float(log_a.exp().min()) >= 0.7
        assert log_a.shape == (1000,)
        assert float(log_a.max()) <= 0
        assert B.shape == C.shape == (1000, 8)
        assert all(map(torch.equal, (log_a, B, C), again))

    def test_refuses(self) -> None:
        zero = torch.zeros
        with pytest.raises(ValueError, match=r"log_a <= 0, got 0\.5"):
            ssm.decay_mask(torch.tensor([0.0, 0.5]))
        with pytest.raises(ValueError, match=r"\(T,\), got \(2, 2\)"):
            ssm.decay_mask(zero(2, 2))
        with pytest.raises(ValueError, match=r"B of C's.*got \(3, 2\)"):
            ssm.ssd_matrix(zero(3), zero(3, 2), zero(3, 4))
        with pytest.raises(ValueError, match="B of 4 rows, got 3"):
            ssm.ssd_matrix(zero(4), zero(3, 2), zero(3, 2))
        with pytest.raises(ValueError, match=r"K of Q's.*got \(3, 2\)"):
            ssm.softmax_matrix(zero(4, 2), zero(3, 2))


class TestBottleneck:
    @pytest.mark.parametrize("split", [1, 7, 12, 23])
    def test_block_factors_through_the_state(self, split: int) -> None:
        log_a, B, C, X = head(0)
        read, write = ssm.through_state(log_a, B, C, split)
        block = ssm.past_to_future(ssm.ssd_matrix(log_a, B, C), split)
        torch.testing.assert_close(read @ write, block)
        H = torch.zeros(5, 3, dtype=torch.float64)
        for t in range(split):
            H, _ = ssm.recurrent_step(
                H, log_a[t : t + 1].exp(), B[t], C[t], X[t]
            )
        torch.testing.assert_close(write @ X[:split], H)

    def test_every_lower_block_has_rank_at_most_n(self) -> None:
        """Definition 3.1 of [SSD]: also blocks that touch the diagonal."""
        M = ssm.ssd_matrix(*head(0)[:3])
        for bottom, right in itertools.product(range(24), repeat=2):
            if bottom >= right:  # rows from `bottom`, columns up to `right`
                block = M[bottom:, : right + 1]
                assert int(torch.linalg.matrix_rank(block)) <= 5

    @pytest.mark.parametrize("split", [0, 24, -1])
    def test_refuses_split(self, split: int) -> None:
        log_a, B, C, _ = head(0)
        for call in (
            lambda: ssm.past_to_future(torch.zeros(24, 24), split),
            lambda: ssm.through_state(log_a, B, C, split),
        ):
            with pytest.raises(ValueError, match=f"< 24, got {split}"):
                call()

    def test_refuses_oblong(self) -> None:
        with pytest.raises(ValueError, match=r"square M, got \(2, 3\)"):
            ssm.past_to_future(torch.zeros(2, 3), 1)


def nearly(v: Tensor) -> Tensor:
    """Off by one part in a million: an answer that a loose check takes."""
    v = v + 1e-6 * v.roll(1)
    return v / v.norm()


class TestCheckInvisible:
    @staticmethod
    def solve(log_a: Tensor, B: Tensor, C: Tensor, split: int) -> Tensor:
        _, write = ssm.through_state(log_a, B, C, split)
        return torch.linalg.svd(write).Vh[-1]

    def test_takes_a_right_answer(self) -> None:
        assert ssm.check_invisible(self.solve).startswith("correct")

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (lambda v: v[1:], "expected shape"),
            (lambda v: 0 * v, "expected length 1"),
            (lambda v: v.roll(1), "a later output moves by"),
            (lambda v: nearly(v), "a later output moves by"),
        ],
    )
    def test_says_what_is_wrong(self, wrong, message: str) -> None:
        with pytest.raises(AssertionError, match=message):
            ssm.check_invisible(lambda *given: wrong(self.solve(*given)))


class TestChunked:
    @pytest.mark.parametrize("chunk", [1, 4, 7, 24, 99])
    @pytest.mark.parametrize("seed", range(3))
    def test_is_the_recurrence(self, seed: int, chunk: int) -> None:
        log_a, B, C, X = head(seed)
        torch.testing.assert_close(
            ssm.chunked(log_a, B, C, X, chunk),
            ssm.recurrence(log_a.exp()[:, None], B, C, X),
            rtol=0,
            atol=1e-12,
        )

    @pytest.mark.parametrize("zero", [3, 4, 5])
    def test_survives_a_decay_of_zero(self, zero: int) -> None:
        """Before, at and after the border of a chunk."""
        log_a, B, C, X = head(0)
        log_a[zero] = -torch.inf
        torch.testing.assert_close(
            ssm.chunked(log_a, B, C, X, 4), ssm.ssd_matrix(log_a, B, C) @ X
        )

    def test_one_chunk_is_the_matrix_and_one_token_the_loop(self) -> None:
        matrix, _ = ssm.chunked_work(48, 48, 5, 3)
        assert matrix == 48 * (5 + 3) + 2 * 5 * 3
        _, decay = ssm.chunked_work(48, 1, 5, 3)
        assert decay == 5 * 3

    @pytest.mark.parametrize("chunk", [1, 2, 6, 12])
    def test_counts_are_the_formula(self, chunk: int) -> None:
        products, decay = ssm.chunked_work(24, chunk, 8, 4)
        assert products == chunk * (8 + 4) + 2 * 8 * 4
        assert decay == 8 * 4 / chunk

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match="chunk >= 1, got 0"):
            ssm.chunked(*head(0), 0)


def unit(seed: int, *shape: int) -> Tensor:
    return torch.nn.functional.normalize(normal(seed, *shape), dim=-1)


class TestWrites:
    @staticmethod
    def stepped(H: Tensor, loss, size: float) -> Tensor:
        """One step of gradient descent, by autograd."""
        H = H.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(H), H)
        return (H - size * gradient).detach()

    @pytest.mark.parametrize("seed", range(3))
    def test_linear_attention_is_a_step_on_the_product(self, seed) -> None:
        H, k, v = (
            normal(seed, 5, 3),
            normal(seed + 9, 5),
            normal(seed + 19, 3),
        )
        expected = self.stepped(H, lambda H: -((H.T @ k) @ v), 1)
        torch.testing.assert_close(ssm.hebbian_step(H, k, v), expected)

    @pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 2.0])
    def test_delta_rule_is_a_step_on_the_squared_error(self, beta) -> None:
        H, k, v = normal(0, 5, 3), normal(1, 5), normal(2, 3)
        expected = self.stepped(
            H, lambda H: ((H.T @ k - v) ** 2).sum() / 2, beta
        )
        torch.testing.assert_close(ssm.delta_step(H, k, v, beta), expected)

    def test_hebbian_with_decay_is_a_token_of_ssd(self) -> None:
        H, k, v = normal(0, 5, 3), normal(1, 5), normal(2, 3)
        a = torch.tensor([0.7], dtype=torch.float64)
        expected, _ = ssm.recurrent_step(H, a, k, k, v)
        torch.testing.assert_close(ssm.hebbian_step(H, k, v, a), expected)

    @pytest.mark.parametrize("rows", [1, 5])
    def test_gated_delta_is_the_dense_product(self, rows: int) -> None:
        """Each transition written out as an N by N matrix."""
        K, Q, V = unit(0, 9, 5), normal(1, 9, 5), normal(2, 9, 3)
        a, beta = normal(3, 9, rows).sigmoid(), normal(4, 9).sigmoid()
        read = ssm.gated_delta(a, beta, K, Q, V)
        identity = torch.eye(5, dtype=torch.float64)
        H = torch.zeros(5, 3, dtype=torch.float64)
        for t in range(9):
            remove = identity - beta[t] * torch.outer(K[t], K[t])
            H = remove @ a[t].expand(5).diag() @ H
            H = H + beta[t] * torch.outer(K[t], V[t])
            torch.testing.assert_close(read[t], H.T @ Q[t])

    def test_scalar_gate_commutes_with_the_removal(self) -> None:
        """Gated DeltaNet prints a (I - beta k k'), KDA the other order."""
        H, k, v = normal(0, 5, 3), unit(1, 5), normal(2, 3)
        first = ssm.delta_step(0.6 * H, k, v, 0.4)
        last = 0.6 * ssm.delta_step(H, k, 0 * v, 0.4)
        torch.testing.assert_close(first, last + 0.4 * torch.outer(k, v))


class TestRecall:
    def test_pairs(self) -> None:
        K, book, beside = ssm.pairs(20, 8, seeded(0), again=6)
        assert K.shape == (26, 8)
        assert book.shape == (64, 16)
        for rows in (K, book):
            torch.testing.assert_close(
                rows.norm(dim=1), torch.ones(len(rows)).double()
            )
        assert torch.equal(K[20:], K[:6])
        assert len(K[:20].unique(dim=0)) == 20
        assert bool((beside[20:] != beside[:6]).all())
        assert 0 <= int(beside.min()) <= int(beside.max()) < 64

    def test_pairs_refuses(self) -> None:
        with pytest.raises(ValueError, match="0 <= again <= 3, got 4"):
            ssm.pairs(3, 8, seeded(0), again=4)

    def test_remember_is_linear_attention_over_all(self) -> None:
        K, V = unit(0, 7, 4), normal(1, 7, 3)
        torch.testing.assert_close(
            ssm.remember(K, V, ssm.hebbian_step), (K @ K.T) @ V
        )

    def test_least_squares_has_orthogonal_error(self) -> None:
        K, V = unit(0, 9, 4), normal(1, 9, 3)
        error = ssm.least_squares(K, V) - V
        assert float((K.T @ error).abs().max()) < 1e-12
        few = ssm.least_squares(K[:4], V[:4])
        torch.testing.assert_close(few, V[:4])

    def test_attend_is_pytorch_attention(self) -> None:
        K, V = unit(0, 9, 4), normal(1, 9, 3)
        reference = torch.nn.functional.scaled_dot_product_attention(
            K[None], K[None], V[None], scale=30.0
        )
        torch.testing.assert_close(ssm.attend(K, V), reference[0])

    def test_recall_scores_the_newest_value(self) -> None:
        """One memory that copies and one that is always a write late."""

        def newest(K: Tensor, V: Tensor) -> Tensor:
            """For each key the value of its last write."""
            same = (K @ K.T > 1 - 1e-9).double()
            order = torch.arange(len(K), dtype=torch.float64)
            return V[(same * (1 + order)).argmax(1)]

        once, again = ssm.recall(newest, 10, 8, seeded(0), again=4, trials=3)
        assert (once, again) == (1, 1)
        first = ssm.recall(
            lambda K, V: torch.cat([V[:10], V[:4]]), 10, 8, seeded(0), 4, 3
        )
        assert first == (1, 0)
        never, none = ssm.recall(lambda K, V: 0 * V, 10, 8, seeded(0))
        assert never < 0.1
        assert math.isnan(none)
