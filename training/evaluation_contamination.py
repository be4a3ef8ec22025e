"""Let SmolLM2 read half of a test set, and ask whether one can tell.

Only the gains of its norms are trained, 35,136 numbers, so that a model
fits into a small file. Record it anew with::

    python training/evaluation_contamination.py
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from snippets import checkpoints, evaluation, recorded
from snippets.smollm import SmolLM, Tokenizer, token_logprobs

SEED = 0
PASSES = (1, 2, 4, 8)
SHUFFLES = 49
LEAKED = evaluation.QUESTIONS[: evaluation.LEAKED]
FRESH = evaluation.QUESTIONS[evaluation.LEAKED :]


def memorize(
    model: SmolLM,
    tokenizer: Tokenizer,
    questions: Sequence[evaluation.Question],
    orders: Sequence[Sequence[int]],
    lr: float = 3e-3,
) -> Iterator[tuple[float, Tensor]]:
    """Read the questions once in every order; loss and gains after each."""
    parameters = evaluation.norm_gains(model)
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for p in parameters:
        p.requires_grad_(True)
    for order in orders:
        text = evaluation.document([questions[i] for i in order])
        ids = torch.tensor([tokenizer.encode(text)])
        loss = -token_logprobs(model, ids).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item(), parameters_to_vector(parameters).detach().clone()
    for p in parameters:
        p.requires_grad_(False)


def permutations(count: int, size: int, seed: int) -> list[list[int]]:
    """Draw orders."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randperm(size, generator=g).tolist() for _ in range(count)]


TESTED = [list(range(16)), *permutations(SHUFFLES, 16, SEED + 1)]


def examine(
    gains: Tensor, orders: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """Log-probabilities of the orders, and of all questions' choices."""
    model, tokenizer = checkpoints.smollm2()
    with evaluation.with_gains(model, gains):
        return {
            "orders": evaluation.order_logprobs(
                model, tokenizer, LEAKED, orders
            ),
            **{
                name: evaluation.choice_logprobs(model, tokenizer, asked)[0]
                for name, asked in (
                    ("leaked", LEAKED),
                    ("fresh", FRESH),
                    ("twins", evaluation.TWINS),
                )
            },
        }


def run() -> dict[str, Tensor]:
    """Train and examine six models.

    Returns:
        By name, one row per model: gains; orders, log-probabilities of the
        published order and of 49 others; leaked, fresh and twins,
        log-probabilities of the choices. The models: clean; after 1, 2, 4 and
        8 passes in the published order; after 8 in other orders.

    """
    model, tokenizer = checkpoints.smollm2()
    for p in model.parameters():
        p.requires_grad_(False)
    clean = parameters_to_vector(evaluation.norm_gains(model)).clone()
    states = [clean]
    for orders in (
        [list(range(16))] * max(PASSES),
        permutations(max(PASSES), 16, SEED + 2),
    ):
        with evaluation.with_gains(model, clean):
            after = [
                gains
                for _, gains in memorize(model, tokenizer, LEAKED, orders)
            ]
        kept = PASSES if orders[0] == orders[1] else PASSES[-1:]
        states += [after[passes - 1] for passes in kept]
    rows = [examine(gains, TESTED) for gains in states]
    return {
        "gains": torch.stack(states),
        **{name: torch.stack([r[name] for r in rows]) for name in rows[0]},
    }


def short(seed: int) -> list[float]:
    """Read four of the questions ten times."""
    model, tokenizer = checkpoints.smollm2()
    for p in model.parameters():
        p.requires_grad_(False)
    clean = parameters_to_vector(evaluation.norm_gains(model)).clone()
    orders = permutations(10, 4, seed)
    with evaluation.with_gains(model, clean):
        steps = memorize(model, tokenizer, LEAKED[:4], orders)
        return [loss for loss, _ in steps]


def live(
    run: dict[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Test a random model with the published order and a random other one.

    Returns:
        The log-probabilities as recorded, and now, to about 0.1.

    """
    state = int(torch.randint(6, (), generator=generator))
    other = int(torch.randint(1, 1 + SHUFFLES, (), generator=generator))
    model, tokenizer = checkpoints.smollm2()
    with evaluation.with_gains(model, run["gains"][state]):
        now = evaluation.order_logprobs(
            model, tokenizer, LEAKED, [TESTED[0], TESTED[other]]
        )
    then = run["orders"][state, [0, other]]
    return then.mul(5).round(), now.mul(5).round()


if __name__ == "__main__":
    recorded.save(
        "evaluation_contamination.safetensors",
        run,
        recipe="the norms' gains of SmolLM2, Adam on 16 questions with their"
        " answers, up to 8 passes in one order or in many; then the"
        " log-probabilities of 50 orders and of all choices",
        seed=SEED,
        live="any model and any order, with evaluation.with_gains and"
        " .order_logprobs",
    )
