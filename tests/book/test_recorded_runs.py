"""Recorded runs are small, can be made again, and still come out the same."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from snippets import icl, recorded

ROOT = Path(__file__).parents[2]
NAMES = list(recorded.manifest())
MB = 2**20
SAYS = ["script", "recipe", "live", "seed", "python", "torch", "seconds"]
SAYS += ["size", "sha256"]


def script_of(name):
    """The script that made the record, as a module."""
    path = ROOT / recorded.entry(name)["script"]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_has_its_script_and_every_script_its_file():
    files = {file.name for file in recorded.WEIGHTS.iterdir()}
    assert files == {*NAMES, "manifest.json"}
    scripts = sorted(
        str(file.relative_to(ROOT)) for file in ROOT.glob("training/*.py")
    )
    assert scripts == sorted(recorded.entry(n)["script"] for n in NAMES)


def test_records_are_small():
    sizes = [(recorded.WEIGHTS / name).stat().st_size for name in NAMES]
    assert max(sizes) <= 6 * MB
    assert sum(sizes) <= 30 * MB
    assert sizes == [recorded.entry(name)["size"] for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_a_record_says_how_it_was_made(name):
    entry = recorded.entry(name)
    assert list(entry) == SAYS
    assert all(entry[key] not in ("", None) for key in SAYS)
    locked = (ROOT / "constraints.txt").read_text()
    assert f"torch=={entry['torch']}\n" in locked
    assert re.fullmatch(r"3\.\d+\.\d+", entry["python"])
    assert entry["seconds"] > 0
    assert entry["seed"] == script_of(name).SEED


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_random_slice_comes_out_as_recorded(name):
    run = recorded.load(name)
    live = script_of(name).live
    for seed in range(3):
        then, now = live(run, torch.Generator().manual_seed(seed))
        if isinstance(now, torch.Tensor):
            torch.testing.assert_close(now, then)
        else:
            assert now == then


@pytest.fixture
def one_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trains(name):
    code = (ROOT / recorded.entry(name)["script"]).read_text()
    return "backward(" in code


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("name", list(filter(trains, NAMES)))
def test_a_short_training_learns(name):
    losses = script_of(name).short(seed=1)
    tenth = len(losses) // 10
    first, last = sum(losses[:tenth]), sum(losses[-tenth:])
    assert last < 0.8 * first


# What the pages say of single runs


def scores(matrices):
    """Loss of a layer, and how its predictions go with a gradient step's."""
    X, Y = icl.regression_tasks(
        4096, 10, 10, torch.Generator().manual_seed(9)
    )
    W0 = torch.zeros(1, 10, dtype=X.dtype)
    E = icl.regression_tokens(X, Y, W0)
    step = icl.prediction(
        icl.linear_attention(E, icl.gd_attention(W0, 1.0, 10))
    )
    target = Y[:, -1]
    step *= (step * target).sum() / (step * step).sum()  # the best η
    learned = icl.prediction(
        icl.linear_attention(E, icl.Attention(*matrices))
    )
    both = torch.stack([learned.ravel(), step.ravel()])
    losses = [(y - target).square().mean() for y in (learned, step)]
    return losses[0] / losses[1], torch.corrcoef(both)[0, 1]


def test_training_finds_the_gradient_step():
    run = recorded.load("icl_linear_attention.safetensors")
    start, trained = (
        [run[name][n] for name in icl.Attention._fields] for n in (0, -1)
    )
    loss, agreement = scores(trained)
    assert loss == pytest.approx(1, abs=0.02)
    assert agreement > 0.995
    assert scores(start)[1] < 0.5
    generator = torch.Generator().manual_seed(0)
    shuffled = [
        W.ravel()[torch.randperm(W.numel(), generator=generator)].view(11, 11)
        for W in trained
    ]
    assert scores(shuffled)[1] < 0.5
