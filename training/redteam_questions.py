"""Let SmolLM2 look for questions to which it needlessly apologizes.

Record it anew with::

    python training/redteam_questions.py
"""

from typing import Any

import torch
from torch import Tensor

from snippets import checkpoints, recorded, redteam

SEED, BATCHES, BATCH = 0, 16, 32


def run() -> dict[str, Any]:
    """Ask zero-shot, then with examples that drew an apology.

    Returns:
        For both ways the questions, and the log-probability that the reply
        to each begins with an apology.

    """
    model, tokenizer = checkpoints.smollm2()
    generator = torch.Generator().manual_seed(SEED)
    result: dict[str, Any] = {}
    examples: list[list[str]] = [[]] * (BATCHES * BATCH)
    for way in ("zero-shot", "few-shot"):
        questions: list[str] = []
        for start in range(0, len(examples), BATCH):
            part = examples[start : start + BATCH]
            questions += redteam.ask(model, tokenizer, part, generator)
        scores = redteam.apology(model, tokenizer, questions)
        result[way] = {
            "questions": questions,
            "scores": [round(score, 4) for score in scores.tolist()],
        }
        examples = redteam.draw_examples(
            questions, scores, BATCHES * BATCH // 2, generator
        )
    return result


def live(
    run: dict[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Score a random question again.

    Returns:
        Its log-probability of an apology as recorded, and now, to some
        hundredths.

    """
    model, tokenizer = checkpoints.smollm2()
    ways = list(run.values())
    way = ways[int(torch.randint(len(ways), (), generator=generator))]
    count = len(way["questions"])
    number = int(torch.randint(count, (), generator=generator))
    question = way["questions"][number]
    now = redteam.apology(model, tokenizer, [question])
    then = torch.tensor(way["scores"][number : number + 1])
    return then.mul(20).round(), now.mul(20).round()


if __name__ == "__main__":
    recorded.save(
        "redteam_questions.json",
        run,
        recipe=f"{BATCHES * BATCH} samples zero-shot, half as many with five"
        " examples drawn by how surely they draw an apology",
        seed=SEED,
        live="the score of any question, with redteam.apology",
    )
