"""Let SmolLM2 criticize replies and write them anew.

Record it anew with::

    python training/constitution_revisions.py
"""

from typing import Any

import torch

from snippets import checkpoints, constitution, recorded

SEED, ROUNDS = 0, 4
WAYS = {"with critique": True, "without": False}


def run() -> dict[str, list[list[str]]]:
    """Revise all replies, round after round.

    Returns:
        For both ways the replies, a list per round, the originals first.

    """
    model, tokenizer = checkpoints.smollm2()
    rounds = {way: [constitution.REPLIES] for way in WAYS}
    for way, critique in WAYS.items():
        for _ in range(ROUNDS):
            last = rounds[way][-1]
            revised = constitution.revise(model, tokenizer, last, critique)
            rounds[way].append(revised)
    return rounds


def live(
    run: dict[str, Any], generator: torch.Generator
) -> tuple[list[str], list[str]]:
    """Revise a random reply once more.

    Returns:
        Its revision as recorded, and now.

    """
    model, tokenizer = checkpoints.smollm2()
    count = len(constitution.REPLIES)
    number = int(torch.randint(count, (), generator=generator))
    before, then = (run["without"][k][number] for k in (0, 1))
    now = constitution.revise(model, tokenizer, [before], critique=False)
    return [then], now


if __name__ == "__main__":
    recorded.save(
        "constitution_revisions.json",
        run,
        recipe=f"{len(constitution.REPLIES)} replies that shout, revised"
        f" {ROUNDS} times, with a critique before each and without",
        seed=SEED,
        live="any reply, with constitution.revise",
    )
