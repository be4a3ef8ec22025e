"""What the page on reading papers says of its figures and its numbers.

Claims that rest on random draws hold on four seeds, and each stands beside a
control: with the mechanism taken out, the same check fails.
"""

import math
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from snippets import reading

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book/how-to-read-a-paper.md").read_text()
SEEDS = pytest.mark.parametrize("seed", [17, 1, 2, 3])  # 17 is the page's
NANO = 0.002 * 8.3  # other people's seed noise, in perplexity

layers = torch.tensor(list(reading.HYBRIDS))
perplexity = torch.tensor(list(reading.HYBRIDS.values()), dtype=torch.float64)
smooth = reading.trend(layers[1:], perplexity[1:])
SIX, SEVEN = layers[1:].tolist().index(6), layers[1:].tolist().index(7)


class TestMisranked:
    @SEEDS
    def test_one_table_of_four(self, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        assert 0.22 < reading.misranked_in_trials(1, 1, 4000, g) < 0.27
        # control: a gap of three is seldom misranked
        assert reading.misranked_in_trials(3, 1, 4000, g) < 0.05

    @pytest.mark.parametrize("runs", [1, 3, 10])
    def test_divide_by_the_root_of_the_runs(self, runs: int) -> None:
        gap = 2.326 / math.sqrt(runs)
        assert reading.misranked(gap, runs) == pytest.approx(0.05, abs=1e-3)

    def test_pairing_at_nine_tenths(self) -> None:
        gap = 2.326 * math.sqrt(0.1)
        wrong = reading.misranked(gap, shared=0.9)
        assert wrong == pytest.approx(0.05, abs=1e-3)
        assert reading.misranked(gap) > 0.3  # control: unpaired

    @pytest.mark.parametrize(
        ("runs", "errors"), [(5, 2.776), (2, 12.7), (10_000, 1.96)]
    )
    def test_how_far_an_interval_reaches(
        self, runs: int, errors: float
    ) -> None:
        """Student's t by integration: 95 percent lie within."""
        df = runs - 1
        t = torch.linspace(0, errors, 200_001, dtype=torch.float64)
        scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2))
        scale /= math.sqrt(df * math.pi)
        density = scale * (1 + t**2 / df) ** (-(df + 1) / 2)
        inside = 2 * float(torch.trapezoid(density, t))
        assert inside == pytest.approx(0.95, abs=2e-4)


class TestBold:
    @SEEDS
    @pytest.mark.parametrize("own", [False, True])
    def test_six_and_seven_share_the_lead(self, seed: int, own: bool) -> None:
        g = torch.Generator().manual_seed(seed)
        noise = reading.scatter(perplexity[1:], smooth) if own else NANO
        shares = reading.lowest_again(smooth, noise, 20_000, g)
        assert sorted(shares.argsort()[-2:].tolist()) == [SIX, SEVEN]
        assert 0.25 < shares[SIX] < 0.40
        assert abs(shares[SIX] - shares[SEVEN]) < 0.04

    @SEEDS
    def test_even_if_every_digit_were_true(self, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        shares = reading.lowest_again(perplexity[1:], NANO, 20_000, g)
        assert 0.47 < shares[SIX] < 0.55
        # control: without seed noise the bold row is sure
        quiet = reading.lowest_again(perplexity[1:], 1e-4, 100, g)
        assert quiet[SIX] == 1

    def test_the_first_layer_is_beyond_doubt(self) -> None:
        assert perplexity[0] - perplexity[1] > 10 * NANO
        assert perplexity[5] - perplexity[6] < 2 * NANO  # control: 5 to 6
        assert perplexity.max() < reading.TRANSFORMER

    def test_scatter_is_small_and_more_than_rounding(self) -> None:
        scatter = reading.scatter(perplexity[1:], smooth)
        assert 0.01 / math.sqrt(12) < scatter < NANO


class TestTableFive:
    """Layers and parameters of the two heads fit together, counted anew."""

    @staticmethod
    def millions(layers: int, own: bool) -> float:
        width, heads, head, state = 768, 24, 64, 64
        inner, vectors = heads * head, 2 * state * (heads if own else 1)
        block = width * (2 * inner + vectors + heads) + inner * width
        return (layers * block + 50_257 * width) / 1e6

    def test_own_vectors_cost_nine_layers(self) -> None:
        assert self.millions(24, False) == pytest.approx(126.5, rel=0.005)
        assert self.millions(15, True) == pytest.approx(127.6, rel=0.005)
        assert self.millions(24, True) > 170  # what was avoided


class TestBeyond:
    params = torch.tensor(list(reading.SIZES), dtype=torch.float64)
    tokens = torch.tensor(list(reading.SIZES.values()), dtype=torch.float64)
    compute = 6 * params * tokens
    far = 100 * compute[-1:]
    floors = torch.arange(1.2, 2.2, 0.02).tolist()

    def runs(self, truth: Tensor, seed: int) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        return truth + 0.002 * torch.randn(500, 4, generator=g).double()

    def ends(self, fit: Tensor) -> list[float]:
        levels = torch.tensor([0.05, 0.5, 0.95]).double()
        ends: list[float] = fit[:, 0].quantile(levels).tolist()
        return ends

    def truth(self) -> tuple[Tensor, float]:
        size = (self.far / 120).sqrt()
        there = reading.chinchilla(size, 20 * size)
        return reading.chinchilla(self.params, self.tokens), float(there)

    def test_span(self) -> None:
        assert round(float(self.compute[-1] / self.compute[0])) == 108
        ratio = self.tokens / self.params
        assert (ratio - 20).abs().max() < 0.3

    @SEEDS
    def test_the_surer_fit_is_wrong(self, seed: int) -> None:
        here, there = self.truth()
        runs = self.runs(here, seed)
        line = reading.power_law(self.compute, runs, self.far)
        low, middle, high = self.ends(line)
        assert there - middle > 20 * (high - low) / 2
        floor = reading.power_law(self.compute, runs, self.far, self.floors)
        least, _, most = self.ends(floor)
        assert least < there < most
        assert most - least > 3 * (high - low)

    @SEEDS
    def test_the_line_is_right_where_there_is_no_floor(
        self, seed: int
    ) -> None:
        """The control: a world whose law is a straight line."""
        here = 50 * self.compute**-0.063
        runs = self.runs(here, seed)
        low, _, high = self.ends(
            reading.power_law(self.compute, runs, self.far)
        )
        assert low < float(50 * self.far**-0.063) < high

    @SEEDS
    def test_residuals_tell(self, seed: int) -> None:
        here, _ = self.truth()
        runs = self.runs(here, seed)
        line = reading.power_law(self.compute, runs, self.compute)
        missed = (runs - line).mean(0)
        assert missed.sign().tolist() == [1, -1, -1, 1]
        assert missed.abs().max() > 8 * 0.002


class TestTheSmallestCase:
    def test_one_test_of_500_questions(self) -> None:
        g = torch.Generator().manual_seed(17)
        p, q = torch.tensor(0.404), torch.tensor(0.388)
        a, b = (
            torch.bernoulli(rate.expand(20_000, 500), generator=g)
            for rate in (p, q)
        )
        score = 100 * a.mean(1)
        assert float(score.std()) == pytest.approx(2.2, abs=0.05)
        gap = 100 * (a - b).mean(1)
        assert float(gap.std()) == pytest.approx(3.1, abs=0.05)


class TestTheGuide:
    parts = (
        *("in this order", "| paper | here |", "Skip at first"),
        *("What trips people up", "Questions to read with"),
        "The usual misreading",
    )

    def test_the_template_has_the_parts_in_order(self) -> None:
        template = ROOT / "authoring/templates/read-the-paper.md"
        text = template.read_text()
        places = [text.index(part) for part in self.parts]
        assert places == sorted(places)
        assert "{{" not in text

    def test_the_worksheet_asks_the_page_s_questions(self) -> None:
        worksheet = (ROOT / "book/_static/worksheet.md").read_text()
        asked = re.findall(r"^\d\. \*\*(.+?)\*\*", PAGE, re.M)
        assert len(asked) == 4
        for question in asked:
            assert question in worksheet
