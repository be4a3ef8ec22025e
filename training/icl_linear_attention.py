"""Train a layer of linear attention on regressions that its context tells.

Will it find the gradient step? The task is that of Section 3 of von Oswald et
al. 2023 (arXiv 2212.07677): every context holds ten examples of a regression
of its own, and the layer predicts the eleventh. Record it anew with::

    python training/icl_linear_attention.py
"""

from typing import Any

import torch
from torch import Tensor

from snippets import recorded
from snippets.icl import (
    Attention,
    linear_attention,
    prediction,
    regression_tasks,
    regression_tokens,
)

NAME = "icl_linear_attention.safetensors"
SEED, STEPS = 0, 4000
TASKS, EXAMPLES, INPUTS = 512, 10, 10
RATE, SCALE = 3e-3, 0.1
KEPT = (0, 100, 200, 250, 300, 400, 500, 1000, 2000, STEPS)


def batch(number: int) -> tuple[Tensor, Tensor]:
    """Draw the regressions of one step: its number is the seed."""
    generator = torch.Generator().manual_seed(number)
    return regression_tasks(TASKS, EXAMPLES, INPUTS, generator)


def loss(layer: Attention, X: Tensor, Y: Tensor) -> Tensor:
    """Half the mean squared error of the predictions for the queries."""
    E = regression_tokens(X, Y, torch.zeros(1, INPUTS, dtype=X.dtype))
    error = prediction(linear_attention(E, layer)) - Y[:, -1]
    return error.square().mean() / 2


def train(
    steps: int = STEPS, seed: int = SEED, rate: float = RATE
) -> dict[str, Tensor]:
    """Train, and keep all losses and the layer before the steps in KEPT.

    Returns:
        loss, (steps,), of which loss[n] is on batch(seed * STEPS + n); kept,
        the numbers of the steps; Wk, Wq, Wv and P, each (kept, D, D), of
        which the last is the trained layer.

    """
    generator = torch.Generator().manual_seed(seed)
    D = INPUTS + 1
    start = torch.randn(4, D, D, generator=generator, dtype=torch.float64)
    layer = Attention(*(SCALE * W for W in start))
    for W in layer:
        W.requires_grad_()
    optimizer = torch.optim.Adam(layer, rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    kept = sorted({min(step, steps) for step in KEPT})
    losses, layers = [], []
    for step in range(steps + 1):
        if step in kept:
            layers.append([W.detach().clone() for W in layer])
        if step == steps:
            break
        value = loss(layer, *batch(seed * STEPS + step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        decay.step()
        losses.append(value.detach())
    matrices = zip(Attention._fields, zip(*layers, strict=True), strict=True)
    return {
        "loss": torch.stack(losses),
        "kept": torch.tensor(kept),
        **{name: torch.stack(Ws) for name, Ws in matrices},
    }


def short(seed: int) -> list[float]:
    """Train for a second: the losses, to be seen to fall."""
    return train(400, seed, 4 * RATE)["loss"].tolist()


def live(run: dict[str, Any], generator: torch.Generator) -> tuple[Any, Any]:
    """Recompute a random one of the losses that the record can give again.

    Returns:
        The loss as recorded, and now.

    """
    known = len(run["kept"]) - 1  # the trained layer has no step, so no loss
    n = int(torch.randint(known, (), generator=generator))
    step = int(run["kept"][n])
    layer = Attention(*(run[name][n] for name in Attention._fields))
    return run["loss"][step], loss(layer, *batch(SEED * STEPS + step))


if __name__ == "__main__":
    recorded.save(
        NAME,
        train,
        recipe=f"one layer of linear attention, {STEPS} steps of Adam on "
        f"{TASKS} regressions with {EXAMPLES} examples of {INPUTS} inputs",
        seed=SEED,
        live="the loss at each of the steps in `kept`, on that step's batch",
    )
