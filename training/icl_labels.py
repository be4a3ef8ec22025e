"""Ask SmolLM2 for the sentiment of reviews under four kinds of labels.

Record it anew with::

    python training/icl_labels.py
"""

from typing import Any

import torch
from torch import Tensor

from snippets import checkpoints, icl, recorded

SEED, ROWS, EXAMPLES = 5, 64, 13
KINDS = ("true", "random", "flipped", "made up")


def run() -> dict[str, Tensor]:
    """Read every row under every kind of labels.

    Returns:
        For each kind the log-probabilities of both label words after each
        review, (ROWS, EXAMPLES, 2); good, whether it is a good review.

    """
    model, tokenizer = checkpoints.smollm2()
    result = {}
    for labels in KINDS:
        generator = torch.Generator().manual_seed(SEED)
        rows, good = icl.labeled_rows(labels, ROWS, EXAMPLES, generator)
        parts = [
            icl.label_logprobs(model, tokenizer, rows[i : i + 8], labels)
            for i in range(0, ROWS, 8)
        ]
        result[labels] = torch.cat(parts)  # (rows, examples, 2)
    return result | {"good": good}


def live(
    run: dict[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Read a random row again under random labels.

    Returns:
        Its log-probabilities as recorded, and now, to about one percent.

    """
    model, tokenizer = checkpoints.smollm2()
    labels = KINDS[int(torch.randint(len(KINDS), (), generator=generator))]
    row = int(torch.randint(ROWS, (), generator=generator))
    fresh = torch.Generator().manual_seed(SEED)
    rows, _ = icl.labeled_rows(labels, ROWS, EXAMPLES, fresh)
    now = icl.label_logprobs(model, tokenizer, rows[row : row + 1], labels)
    return run[labels][row].bfloat16(), now[0].bfloat16()


if __name__ == "__main__":
    recorded.save(
        "icl_labels.safetensors",
        run,
        recipe=f"{ROWS} rows of {EXAMPLES} film reviews, each read under"
        " true, random, flipped and made-up labels: log-probabilities of both"
        " label words after every review",
        seed=SEED,
        live="any rows, with icl.labeled_rows and icl.label_logprobs",
    )
