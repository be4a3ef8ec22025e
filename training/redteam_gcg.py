"""Search eight tokens that make SmolLM2 speak of owls and chess.

Record it anew with::

    python training/redteam_gcg.py
"""

from typing import Any

import torch
from torch import Tensor

from snippets import checkpoints, recorded, redteam
from snippets.smollm import SmolLM, Tokenizer, generate

SEED, SEEDS, FREE = 0, 3, 8
QUESTION = "What is the capital of Italy?"
TARGET = "Owls are great at chess."


def setting(tokenizer: Tokenizer) -> tuple[redteam.Prompt, Tensor, Tensor]:
    """What stands around the free tokens, where they start, what is allowed.

    Allowed are tokens of plain letters, with or without a space in front.
    """
    prompt = redteam.suffix_prompt(tokenizer, QUESTION, TARGET)
    pieces = tokenizer.pieces(range(tokenizer.bpe.get_vocab_size()))
    words = [piece.removeprefix(" ") for piece in pieces]
    allowed = torch.tensor([w.isascii() and w.isalpha() for w in words])
    start = torch.tensor(tokenizer.encode(" x") * FREE)
    return prompt, start, allowed


def reply(
    model: SmolLM, tokenizer: Tokenizer, prompt: redteam.Prompt, ids: Tensor
) -> str:
    """What the model answers, token by token the best."""
    asked = [*prompt.before, *ids.tolist(), *prompt.after]
    return tokenizer.decode(generate(model, [asked], 16)[0])


def run() -> dict[str, Any]:
    """Search with the gradient and without, from several seeds.

    Returns:
        For each way a list of searches: ids and loss after each step, and
        the reply to the first and to the best of them.

    """
    model, tokenizer = checkpoints.smollm2()
    prompt, start, allowed = setting(tokenizer)
    result: dict[str, Any] = {}
    for way, guided in (("gradient", True), ("random", False)):
        result[way] = []
        for seed in range(SEED, SEED + SEEDS):
            ids, losses = redteam.search(
                model, start, prompt, allowed,
                torch.Generator().manual_seed(seed), guided=guided,
            )  # fmt: skip
            best = ids[losses.argmin()]
            result[way].append({
                "ids": ids.tolist(),
                "losses": [round(loss, 4) for loss in losses.tolist()],
                "before": reply(model, tokenizer, prompt, start),
                "after": reply(model, tokenizer, prompt, best),
            })  # fmt: skip
    return result


def live(
    run: dict[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Score the tokens of a random step of a random search again.

    Returns:
        Their loss as recorded, and now, to a hundredth of a nat.

    """
    model, tokenizer = checkpoints.smollm2()
    prompt, _, _ = setting(tokenizer)
    searches = [one for way in run.values() for one in way]
    one = searches[int(torch.randint(len(searches), (), generator=generator))]
    step = int(torch.randint(len(one["ids"]), (), generator=generator))
    now = redteam.exact(model, torch.tensor(one["ids"][step])[None], prompt)
    then = torch.tensor(one["losses"][step : step + 1])
    return then.mul(50).round(), now.mul(50).round()


if __name__ == "__main__":
    recorded.save(
        "redteam_gcg.json",
        run,
        recipe=f"20 steps over {FREE} tokens, 32 candidates a step, 64"
        f" proposals a position; {SEEDS} searches with the gradient and"
        f" {SEEDS} without, toward the reply {TARGET!r}",
        seed=SEED,
        live="the loss of any step, with redteam.exact",
    )
