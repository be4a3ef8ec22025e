"""What the lesson says about its figures and numbers, on four seeds each.

Every claim stands beside a control: the same check with the mechanism taken
out must fail, else the check says nothing.
"""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from snippets import ssm

SEEDS = pytest.mark.parametrize("seed", [17, 1, 2, 3])  # 17 is the page's


def head(seed: int, state: int = 4) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    log_a, B, C = ssm.random_head(24, state, generator)
    X = torch.randn(24, 3, generator=generator, dtype=torch.float64)
    return log_a, B, C, X


class TestThePriceOfTheNextToken:
    def test_doubling_the_context(self) -> None:
        before = ssm.next_token_flops(2**13, 64, 64)
        after = ssm.next_token_flops(2**14, 64, 64)
        assert after[0] == 2 * before[0]
        assert after[1] == before[1]

    def test_same_for_token_100000_as_for_token_10(self) -> None:
        early, late = (ssm.next_token_flops(T, 64, 64) for T in (10, 100_000))
        assert early[1] == late[1]
        assert early[0] < early[1] < late[0]

    @pytest.mark.parametrize("N", [16, 64, 128])
    def test_equal_work_at_n_tokens(self, N: int) -> None:
        attention, recurrent = ssm.next_token_flops(N, N, N)
        assert attention == recurrent

    def test_equal_memory_at_32_tokens(self) -> None:
        N = P = 64
        K, V, H = torch.empty(32, N), torch.empty(32, P), torch.empty(N, P)
        assert K.nbytes + V.nbytes == H.nbytes


@SEEDS
class TestHolds:
    def test_the_dots_lie_on_the_curve(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(6, generator=generator, dtype=torch.float64)
        dt = 4 * torch.rand(6, generator=generator, dtype=torch.float64)
        fine = (dt / 50).repeat_interleave(50)
        curve = ssm.leaky_hold(x.repeat_interleave(50), fine)
        dots = ssm.leaky_hold(x, dt)
        torch.testing.assert_close(curve[49::50], dots)
        h, one_big_step = 0.0, []  # control: h + dt h' in place of the hold
        for value, hold in zip(x.tolist(), dt.tolist(), strict=True):
            h += hold * (value - h)
            one_big_step.append(h)
        assert float((torch.tensor(one_big_step) - dots).abs().max()) > 0.1

    def test_long_overwrites_and_short_leaves_no_trace(
        self, seed: int
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = 2 * torch.rand(6, generator=generator, dtype=torch.float64) - 1
        dt = torch.tensor([4, 0.02, 0.02, 4, 0.02, 0.02]).double()
        h = ssm.leaky_hold(x, dt)
        for written in (0, 3):
            assert float((h[written] - x[written]).abs()) < 0.04
            assert float((h[written + 2] - h[written]).abs()) < 0.08
        equal = ssm.leaky_hold(x, torch.ones(6).double())  # control
        assert float((equal[[0, 3]] - x[[0, 3]]).abs().max()) > 0.2


@SEEDS
class TestSelection:
    RATE = 0.15

    @pytest.fixture
    def stream(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return ssm.marked_stream(600, 48, self.RATE, generator)

    @staticmethod
    def missed(h: Tensor, target: Tensor) -> float:
        return float((h - target)[400:].var() / target[400:].var())

    def convolution(self, U: Tensor, target: Tensor) -> float:
        kernel = ssm.best_kernel(U[:400], target[:400])
        return self.missed(ssm.lags(U) @ kernel, target)

    def selective(self, stream: tuple[Tensor, ...], gain: float) -> float:
        values, marks, target = stream
        streams = zip(values, marks, strict=True)
        held = [ssm.selective_hold(v, m, gain) for v, m in streams]
        return self.missed(torch.stack(held), target)

    def test_the_best_convolution_misses_most(self, stream) -> None:
        """In the long run it misses 1 - p / (2 - p)."""
        values, marks, target = stream
        part = self.convolution(torch.stack([values, marks], -1), target)
        p = self.RATE
        assert part == pytest.approx(1 - p / (2 - p), abs=0.05)

    def test_a_gate_in_front_stops_half_way(self, stream) -> None:
        """In the long run it misses 1 - 1 / (2 - p)."""
        values, marks, target = stream
        part = self.convolution((values * marks)[..., None], target)
        assert part == pytest.approx(1 - 1 / (2 - self.RATE), abs=0.08)

    def test_it_fades_at_one_fixed_rate(self, stream) -> None:
        values, marks, target = stream
        kernel = ssm.best_kernel(
            (values * marks)[:400, :, None], target[:400]
        )
        expected = (1 - self.RATE) ** torch.arange(12).double()
        torch.testing.assert_close(kernel[:12], expected, rtol=0, atol=0.06)

    def test_it_overshoots_where_marks_crowd(self, stream) -> None:
        """On a mark it says the new number plus what is left of the old."""
        values, marks, target = stream
        U = (values * marks)[..., None]
        said = ssm.lags(U) @ ssm.best_kernel(U[:400], target[:400])
        crowded = marks[:, 1:] * marks[:, :-1] > 0
        error, old = (said - target)[:, 1:][crowded], target[:, :-1][crowded]
        left = float((error * old).mean() / (old * old).mean())
        assert left == pytest.approx(1 - self.RATE, abs=0.1)
        selective = target[:, 1:][crowded] - values[:, 1:][crowded]
        assert not selective.any()  # control: the task itself clears

    def test_selection_misses_nothing(self, stream) -> None:
        assert self.selective(stream, gain=40) < 1e-9
        assert self.selective(stream, gain=0) > 0.5  # control: no selection

    def test_it_steps_and_stays(self, stream) -> None:
        values, marks, target = stream
        held = ssm.selective_hold(values[431], marks[431])
        torch.testing.assert_close(held, target[431], rtol=0, atol=1e-5)


@SEEDS
class TestTheRecurrenceIsAMatrix:
    def test_two_programs_one_function(self, seed: int) -> None:
        log_a, B, C, X = head(seed)
        Y = ssm.recurrence(log_a.exp()[:, None], B, C, X)
        M = ssm.ssd_matrix(log_a, B, C)
        assert torch.allclose(M @ X, Y, rtol=0, atol=1e-12)
        shifted = ssm.ssd_matrix(log_a.roll(1), B, C)  # control: off by one
        swapped = ssm.ssd_matrix(log_a, C, B)  # control: keys for queries
        for wrong in (shifted, swapped, M.T):
            assert float((wrong @ X - Y).abs().max()) > 0.1

    def test_the_matrix_is_strong_near_the_diagonal(self, seed: int) -> None:
        log_a, B, C, _ = head(seed)

        def size(M: Tensor, near: int, far: int) -> float:
            band = [M.diagonal(-lag) for lag in range(near, far)]
            return float(torch.cat(band).abs().mean())

        M = ssm.ssd_matrix(log_a, B, C)
        assert size(M, 0, 4) > 3 * size(M, 16, 24)
        flat = ssm.ssd_matrix(0 * log_a, B, C)  # control: nothing fades
        assert size(flat, 0, 4) < 3 * size(flat, 16, 24)

    def test_three_tokens_unrolled(self, seed: int) -> None:
        """The display equation, term by term."""
        log_a, B, C, X = (part[:3] for part in head(seed))
        _, a2, a3 = log_a.exp()
        y3 = (
            a3 * a2 * (C[2] @ B[0]) * X[0]
            + a3 * (C[2] @ B[1]) * X[1]
            + (C[2] @ B[2]) * X[2]
        )
        Y = ssm.recurrence(log_a.exp()[:, None], B, C, X)
        torch.testing.assert_close(Y[2], y3)

    def test_the_first_decay_never_matters(self, seed: int) -> None:
        log_a, B, C, _ = head(seed)
        other = log_a.clone()
        other[0] = -5
        first, second = (ssm.ssd_matrix(d, B, C) for d in (log_a, other))
        assert torch.equal(first, second)
        other[1] = -5  # control
        assert not torch.equal(first, ssm.ssd_matrix(other, B, C))

    def test_the_mask_fades_away_from_the_diagonal(self, seed: int) -> None:
        L = ssm.decay_mask(head(seed)[0])
        for row in range(24):
            assert bool((L[row, : row + 1].diff() > 0).all())
        flat = ssm.decay_mask(torch.zeros(24).double())  # control
        assert float(flat[-1, :-1].diff().abs().max()) == 0


@SEEDS
class TestTheStateIsABottleneck:
    @staticmethod
    def blocks(seed: int, state: int = 4) -> tuple[Tensor, Tensor]:
        log_a, B, C, _ = head(seed, state)
        ours = ssm.ssd_matrix(log_a, B, C)
        softmax = ssm.softmax_matrix(C, B)
        return ssm.past_to_future(ours, 12), ssm.past_to_future(softmax, 12)

    @pytest.mark.parametrize("state", [2, 4, 7])
    def test_rank_is_n_against_full(self, seed: int, state: int) -> None:
        ours, softmax = self.blocks(seed, state)
        assert int(torch.linalg.matrix_rank(ours)) == state
        if state >= 4:  # the page's N; scores of rank 2 are nearly singular
            assert int(torch.linalg.matrix_rank(softmax)) == 12

    def test_singular_values(self, seed: int) -> None:
        ours, softmax = map(torch.linalg.svdvals, self.blocks(seed))
        assert float(ours[3]) > 0.1
        assert float(ours[4]) < 1e-12
        assert float(softmax[-1]) > 1e-9
        assert float(softmax[-1] / softmax[0]) < 1e-2  # "the last are small"

    def test_a_change_that_no_later_output_sees(self, seed: int) -> None:
        log_a, B, C, X = head(seed)
        _, write = ssm.through_state(log_a, B, C, 12)
        change = torch.linalg.svd(write).Vh[-1]
        other = X.clone()
        other[:12, 0] += 10 * change
        a = log_a.exp()[:, None]
        Y, moved = (ssm.recurrence(a, B, C, inputs) for inputs in (X, other))
        assert float((Y - moved)[12:].abs().max()) < 1e-10
        assert float((Y - moved)[:12].abs().max()) > 0.1
        seen = ssm.softmax_matrix(C, B) @ (X - other)  # control
        assert float(seen[12:].abs().max()) > 1e-3

    def test_split_minus_n_of_them(self, seed: int) -> None:
        log_a, B, C, _ = head(seed)
        _, write = ssm.through_state(log_a, B, C, 12)
        assert 12 - int(torch.linalg.matrix_rank(write)) == 8


@SEEDS
class TestTwoDocuments:
    def test_the_zero_belongs_to_the_next_document(self, seed: int) -> None:
        log_a, B, C, _ = head(seed)
        right, wrong = log_a.clone(), log_a.clone()
        right[12] = wrong[11] = -torch.inf
        apart = ssm.past_to_future(ssm.ssd_matrix(right, B, C), 12)
        leak = ssm.past_to_future(ssm.ssd_matrix(wrong, B, C), 12)
        assert not apart.any()
        assert leak[:, :11].eq(0).all()  # cut loose from its own document
        assert float(leak[:, 11].abs().max()) > 0.1  # and into the next


def test_first_order_write_vector_is_off_by_half_a_dt() -> None:
    A, B = torch.tensor([-0.8]).double(), torch.tensor([1.3]).double()
    dt = torch.tensor([1e-3, 50.0]).double()
    _, exact = ssm.discretize(A, B, dt)
    relative = float(dt[0] * B / exact[0, 0] - 1)
    assert relative == pytest.approx(float(-A * dt[0] / 2), rel=1e-2)
    assert float(exact[1, 0]) == pytest.approx(float(-B / A))
    assert float(dt[1] * B) > 30 * float(exact[1, 0])


class TestBothProgramsAtOnce:
    @SEEDS
    def test_four_chunks_are_the_recurrence(self, seed: int) -> None:
        log_a, B, C, X = head(seed)
        Y = ssm.recurrence(log_a.exp()[:, None], B, C, X)
        chunked = ssm.chunked(log_a, B, C, X, chunk=6)
        assert torch.allclose(chunked, Y, rtol=0, atol=1e-12)
        inside = torch.cat(  # control: no state between the chunks
            [
                ssm.chunked(
                    *(part[i : i + 6] for part in (log_a, B, C, X)), 6
                )
                for i in range(0, 24, 6)
            ]
        )
        assert torch.allclose(inside[:6], Y[:6])
        assert float((inside - Y)[6:].abs().max()) > 0.1

    @SEEDS
    def test_the_code_has_r_and_w_of_the_bottleneck(self, seed: int) -> None:
        """A chunk that ends at the cut writes W, the next one reads R."""
        log_a, B, C, _ = head(seed)
        read, write = ssm.through_state(log_a, B, C, 12)
        to_go = ssm.decay_mask(log_a[:12])[-1][:, None]
        so_far = log_a[12:].cumsum(0).exp()[:, None]
        torch.testing.assert_close((to_go * B[:12]).T, write)
        torch.testing.assert_close(so_far * C[12:], read)

    @staticmethod
    def total(chunk: int, length: int = 240) -> float:
        return sum(ssm.chunked_work(length, chunk, 64, 64))

    @pytest.mark.parametrize("length", [120, 240])
    def test_six_is_cheapest_for_any_length(self, length: int) -> None:
        sizes = [Q for Q in range(1, length + 1) if length % Q == 0]
        assert min(sizes, key=lambda Q: self.total(Q, length)) == 6
        assert round(math.sqrt(64 * 64 / (64 + 64)), 1) == 5.7
        products = [ssm.chunked_work(length, Q, 64, 64)[0] for Q in sizes]
        assert products == sorted(products)  # control: no decay, no minimum

    def test_the_minimum_is_flat(self) -> None:
        for Q in (3, 4, 5, 8, 10, 12):
            assert self.total(Q) < 1.05 * self.total(6)
        assert self.total(1) > 1.25 * self.total(6)
        assert self.total(240) > 4 * self.total(6)

    @pytest.mark.parametrize(("chunk", "times"), [(64, 1.7), (256, 4.2)])
    def test_what_is_used_costs_more(self, chunk: int, times: float) -> None:
        ratio = self.total(chunk, 768) / self.total(6, 768)
        assert ratio == pytest.approx(times, abs=0.05)

    def test_a_token_costs_about_four_n_squared(self) -> None:
        products, decay = ssm.chunked_work(128, 64, 64, 64)
        assert products == 4 * 64 * 64
        assert decay < 0.01 * products


@SEEDS
class TestWritingIsLearning:
    @pytest.fixture
    def written(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        K, book, beside = ssm.pairs(8, 32, generator)
        H = torch.zeros(32, 16, dtype=torch.float64)
        for k, v in zip(K, book[beside], strict=True):
            H = ssm.hebbian_step(H, k, v)
        return H, K[3], book[(beside[3] + 1) % 64]

    def test_a_full_step_replaces_what_was_there(self, written) -> None:
        H, k, v = written
        torch.testing.assert_close(k @ ssm.delta_step(H, k, v), v)
        once = ssm.delta_step(H, k, v)
        torch.testing.assert_close(ssm.delta_step(once, k, v), once)
        for other in (  # controls
            ssm.delta_step(H, k, v, 0.5),
            ssm.hebbian_step(H, k, v),
        ):
            assert float((k @ other - v).abs().max()) > 0.05

    def test_the_first_loss_asks_for_ever_more(self, written) -> None:
        H, k, v = written
        loss = []
        for _ in range(5):
            loss.append(-float((k @ H) @ v))
            H = ssm.hebbian_step(H, k, v)
        torch.testing.assert_close(
            torch.tensor(loss).diff(), -torch.ones(4), rtol=0, atol=1e-6
        )

    @pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
    def test_eigenvalues(self, written, beta: float) -> None:
        _, k, _ = written
        G = torch.eye(32).double() - beta * torch.outer(k, k)
        values = torch.linalg.eigvalsh(G).sort().values
        expected = torch.tensor([1 - beta, *[1.0] * 31]).double()
        torch.testing.assert_close(values, expected)

    def test_orthonormal_keys(self, written, seed: int) -> None:
        """Both rules are exact up to N pairs, and neither beyond."""
        generator = torch.Generator().manual_seed(seed)
        K = torch.linalg.qr(
            torch.randn(8, 8, generator=generator, dtype=torch.float64)
        ).Q
        V = torch.randn(9, 4, generator=generator, dtype=torch.float64)
        more = torch.cat([K, torch.ones(1, 8) / math.sqrt(8)])
        for step in (ssm.hebbian_step, ssm.delta_step):
            torch.testing.assert_close(ssm.remember(K, V[:8], step), V[:8])
            read = ssm.remember(more, V, step)
            assert float((read - V).abs().max()) > 0.1


HEBBIAN = partial(ssm.remember, step=ssm.hebbian_step)


def delta(beta: float) -> partial:
    return partial(ssm.remember, step=partial(ssm.delta_step, beta=beta))


@SEEDS
class TestHowMuchFits:
    COUNTS = (4, 8, 16, 24, 32, 48, 64, 96, 128)

    @pytest.fixture
    def recall(self, seed: int):
        generator = torch.Generator().manual_seed(seed)
        return lambda memory, pairs, rows=32: ssm.recall(
            memory, pairs, rows, generator
        )[0]

    def test_attention_never_errs(self, recall) -> None:
        for pairs in self.COUNTS:
            assert recall(ssm.attend, pairs) > 0.999
        blunt = partial(ssm.attend, sharpness=1)  # control
        assert recall(blunt, 128) < 0.9

    def test_least_squares_holds_as_many_as_rows(self, recall) -> None:
        assert recall(ssm.least_squares, 32) == 1
        assert recall(ssm.least_squares, 64) < 0.9
        assert recall(ssm.least_squares, 128) < 0.5
        assert recall(ssm.least_squares, 64, rows=64) == 1  # control

    def test_the_order_of_the_curves(self, recall) -> None:
        for pairs in (32, 48, 64, 96, 128):
            linear = recall(HEBBIAN, pairs)
            assert recall(delta(1), pairs) < linear - 0.05
            assert linear < recall(ssm.least_squares, pairs) - 0.03

    def test_all_states_fall(self, recall) -> None:
        for memory in (HEBBIAN, delta(1), ssm.least_squares):
            curve = [recall(memory, pairs) for pairs in self.COUNTS]
            assert curve[0] > 0.97
            assert curve[-1] < 0.45
            for before, after in itertools.pairwise(curve):
                assert after < before + 0.02

    def test_half_steps_do_as_well_as_linear_attention(self, recall) -> None:
        linear, half = recall(HEBBIAN, 32), recall(delta(0.5), 32)
        assert half == pytest.approx(linear, abs=0.06)
        assert half > recall(delta(1), 32) + 0.08

    def test_each_full_step_disturbs_earlier_pairs(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        K, book, beside = ssm.pairs(32, 32, generator)
        V = book[beside]
        error = (ssm.remember(K, V, ssm.delta_step) - V).norm(dim=1)
        assert float(error[-1]) < 1e-12  # the last is exact
        assert float(error[:8].mean()) > float(error[-8:].mean()) + 0.1

    @pytest.mark.parametrize("load", [0.25, 0.5, 1, 2, 4])
    def test_only_the_load_counts(self, recall, load: float) -> None:
        sizes = (16, 32, 64, 128)
        parts = [recall(HEBBIAN, int(load * N), N) for N in sizes]
        assert max(parts) - min(parts) < 0.09

    def test_not_the_number_of_pairs(self, recall) -> None:
        """The control: at 32 pairs, rows make all the difference."""
        assert recall(HEBBIAN, 32, 128) > recall(HEBBIAN, 32, 16) + 0.3

    def test_the_demo_to_beware_of(self, recall) -> None:
        """One value channel per pair: any number of pairs."""

        def cheat(K: Tensor, V: Tensor) -> Tensor:
            one_hot = torch.eye(len(K), dtype=V.dtype)
            read = ssm.remember(K, one_hot, ssm.hebbian_step)
            return V[read.argmax(1)]

        assert recall(cheat, 256) == 1
        assert recall(HEBBIAN, 256) < 0.2  # control: codes in 16 channels

    def test_a_third_of_a_bit_per_number(self, recall) -> None:
        most = max(n * recall(HEBBIAN, n) for n in self.COUNTS)
        assert most * 6 / (32 * 16) == pytest.approx(1 / 3, abs=0.12)


@SEEDS
class TestOverwriting:
    @staticmethod
    def score(memory, seed: int) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(seed)
        return ssm.recall(memory, 16, 32, generator, again=8, trials=200)

    def decay(self, a: float, seed: int) -> tuple[float, float]:
        step = partial(ssm.hebbian_step, a=a)
        return self.score(partial(ssm.remember, step=step), seed)

    def test_a_decay_trades_one_for_the_other(self, seed: int) -> None:
        slow, fast = self.decay(1, seed), self.decay(0.9, seed)
        assert slow[0] > 0.85
        assert slow[1] < 0.5
        assert fast[0] < 0.65
        assert fast[1] > 0.93

    def test_the_delta_rule_reaches_the_corner(self, seed: int) -> None:
        best = max(
            min(self.decay(a, seed)) for a in (0.98, 0.97, 0.96, 0.95, 0.94)
        )
        corner = min(self.score(delta(0.5), seed))
        assert corner > 0.92
        assert corner > best + 0.05

    def test_beta_is_a_trade_off(self, seed: int) -> None:
        small, middle, full = (
            self.score(delta(beta), seed) for beta in (0.1, 0.5, 1)
        )
        assert small[1] < middle[1] - 0.2  # too timid to overwrite
        assert full[0] < middle[0] - 0.08  # disturbs the others
        assert full[1] > 0.95

    def test_a_small_step_without_the_error_does_not(self, seed) -> None:
        """The control: write half of the value and correct nothing."""

        def half(H: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return ssm.hebbian_step(H, k, v / 2)

        assert self.score(partial(ssm.remember, step=half), seed)[1] < 0.5

    def test_attention_without_positions_can_not_say_which(self, seed):
        once, again = self.score(ssm.attend, seed)
        assert once > 0.999
        assert again == pytest.approx(0.5, abs=0.1)


class TestParity:
    @staticmethod
    def state(bits: tuple[int, ...], size: float) -> float:
        H, k, nothing = torch.ones(1, 1), torch.ones(1), torch.zeros(1)
        for bit in bits:
            H = ssm.delta_step(H, k, nothing, beta=size * bit)
        return float(H)

    def test_every_string_of_eight_bits(self) -> None:
        for bits in itertools.product((0, 1), repeat=8):
            assert self.state(bits, 2) == (-1) ** sum(bits)

    @pytest.mark.parametrize("size", [0.3, 0.9, 1.0])
    def test_never_negative_with_smaller_steps(self, size: float) -> None:
        """The control: positive eigenvalues only shrink."""
        for bits in itertools.product((0, 1), repeat=8):
            assert self.state(bits, size) >= 0


def test_bits_of_the_copying_bound() -> None:
    bits = 4096 * math.log2(50_000) - 1
    assert bits == pytest.approx(63_900, abs=100)
    assert bits / 32 == pytest.approx(2000, abs=5)
