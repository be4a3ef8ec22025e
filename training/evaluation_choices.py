"""Ask SmolLM2 multiple-choice questions, by text and by letter.

Record it anew with::

    python training/evaluation_choices.py
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snippets import checkpoints, evaluation, recorded

SEED = 0
ORDERS = evaluation.rotations(4)


def ask(questions: Sequence[evaluation.Question]) -> dict[str, Tensor]:
    """Score the choices without showing them, then shown in all orders.

    Returns:
        asked, alone and tokens, (questions, choices); with the choices
        shown, letters (orders, questions, letters) and the choices' texts,
        listed (orders, questions, choices).

    """
    model, tokenizer = checkpoints.smollm2()
    asked, alone, tokens = evaluation.choice_logprobs(
        model, tokenizer, questions
    )
    letters = [
        evaluation.letter_logprobs(model, tokenizer, questions, order)
        for order in ORDERS
    ]
    listed = [
        evaluation.choice_logprobs(model, tokenizer, questions, order)[0]
        for order in ORDERS
    ]
    return {
        "asked": asked,
        "alone": alone,
        "tokens": tokens,
        "letters": torch.stack(letters),
        "listed": torch.stack(listed),
    }


def run() -> dict[str, Tensor]:
    """Ask all questions."""
    return ask(evaluation.QUESTIONS)


def live(
    run: dict[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Ask a random question again.

    Returns:
        Its scores as recorded, and now, to about one percent.

    """
    count = len(evaluation.QUESTIONS)
    number = int(torch.randint(count, (), generator=generator))
    now = ask(evaluation.QUESTIONS[number : number + 1])
    then = {
        name: values.select(-2, number).unsqueeze(-2)
        for name, values in run.items()
    }
    flat = [
        torch.cat([record[name].float().flatten() for name in sorted(run)])
        for record in (then, now)
    ]
    return flat[0].mul(50).round(), flat[1].mul(50).round()


if __name__ == "__main__":
    recorded.save(
        "evaluation_choices.safetensors",
        run,
        recipe=f"{len(evaluation.QUESTIONS)} questions with four choices:"
        " log-probability of each choice after the question and alone, and"
        " of each letter and choice with the choices shown in four orders",
        seed=SEED,
        live="any questions, with evaluation.choice_logprobs and"
        " .letter_logprobs",
    )
