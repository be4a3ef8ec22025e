"""Ask SmolLM2 which of two answers is better, in both orders.

Record it anew with::

    python training/constitution_verdicts.py
"""

from typing import Any

import torch
from torch import Tensor

from snippets import checkpoints, constitution, recorded

SEED = 0
RULES = {
    "polite": constitution.RULE,
    "rude": constitution.REVERSED_RULE,
    "none": "",
}
SHOTS = {"two examples": constitution.SHOTS, "no example": ""}


def ask(rule: str, shots: str, cases: list[constitution.Case]) -> Tensor:
    """Leans toward "A", the good answer first and second, (2, cases)."""
    model, tokenizer = checkpoints.smollm2()
    return torch.stack(
        [
            constitution.verdicts(
                model,
                tokenizer,
                [
                    constitution.comparison(case, RULES[rule], SHOTS[shots])
                    for case in order
                ],
            )
            for order in (cases, [case.swapped() for case in cases])
        ]
    )


def run() -> dict[str, Tensor]:
    """Ask for every case under every rule, with and without examples."""
    return {
        f"{rule}, {shots}": ask(rule, shots, constitution.CASES)
        for rule in RULES
        for shots in SHOTS
    }


def live(
    run: dict[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Ask for a random case again, under a random rule.

    Returns:
        Its leans as recorded, and now, to about one percent.

    """
    names = list(run)
    name = names[int(torch.randint(len(names), (), generator=generator))]
    rule, _, shots = name.partition(", ")
    number = int(
        torch.randint(len(constitution.CASES), (), generator=generator)
    )
    now = ask(rule, shots, constitution.CASES[number : number + 1])
    then = run[name][:, number : number + 1]
    return then.mul(50).round(), now.mul(50).round()


if __name__ == "__main__":
    recorded.save(
        "constitution_verdicts.safetensors",
        run,
        recipe=f"{len(constitution.CASES)} pairs of answers in both orders,"
        " under a rule, its reverse and none, with two examples and without:"
        " log-odds of answer A over B",
        seed=SEED,
        live="any cases, with constitution.comparison and .verdicts",
    )
