"""Our SmolLM against transformers, which reads the wheel's GGUF by itself.

float32 on both sides. Through 30 layers, logits of up to 40 differ by what
adding up in another order makes: 7e-5 was the most seen. The tolerance is
5e-4. A base of the angles that is off by a thousandth gives 2e-3, twice the
epsilon 1e-2, unswapped halves of the heads 20.
"""

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from snippets import checkpoints, data, smollm

ATOL = 5e-4


@pytest.fixture(scope="module")
def ours():
    return checkpoints.smollm2()


@pytest.fixture(scope="module")
def theirs():
    file = checkpoints.wheel_file()
    model = LlamaForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def their_tokenizer():
    file = checkpoints.wheel_file()
    return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)


def passage(
    tokenizer: smollm.Tokenizer, length: int, generator: torch.Generator
) -> Tensor:
    """A random piece of prose, (1, length)."""
    pieces = data.chunks(tokenizer.encode(data.moby_dick()), length)
    place = torch.randint(len(pieces), (), generator=generator)
    return torch.tensor([pieces[place]])


def close(one: Tensor, other: Tensor, atol: float = ATOL) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=atol)


@pytest.mark.parity(
    ours="checkpoints.smollm2",
    theirs="transformers: LlamaForCausalLM.from_pretrained",
    convention="rows of Q and K in half-split order",
    tolerance="none",
)
def test_weights(ours, theirs) -> None:
    weights = theirs.state_dict()
    for name, weight in ours[0].state_dict().items():
        assert torch.equal(weight, weights[f"model.{name}"]), name


@pytest.mark.parity(
    ours="smollm.SmolLM",
    theirs="transformers: LlamaForCausalLM",
    convention="RMSNorm epsilon 1e-5, tied embeddings",
    tolerance="5e-4 of logits up to 40, float32",
)
@pytest.mark.parametrize("length", [1, 7, 300])
def test_logits(ours, theirs, length, generator) -> None:
    ids = passage(ours[1], length, generator)
    close(ours[0](ids), theirs(ids).logits)


def test_logits_of_random_tokens(ours, theirs, generator) -> None:
    ids = torch.randint(49_152, (2, 40), generator=generator)
    close(ours[0](ids), theirs(ids).logits)


@pytest.mark.parity(
    ours="smollm.recording",
    theirs="transformers: LlamaForCausalLM, output_hidden_states",
    convention="the stream before each layer",
    tolerance="1e-5 of the largest, float32",
)
def test_hidden_states(ours, theirs, generator) -> None:
    """Relative to their size: some reach 2e4 on the first token."""
    ids = passage(ours[1], 50, generator)
    with smollm.recording(ours[0], "resid") as seen:
        ours[0](ids)
    states = theirs(ids, output_hidden_states=True).hidden_states
    for layer in range(30):  # the last one of theirs is normalized
        scale = states[layer].abs().max()
        close(seen["resid", layer] / scale, states[layer] / scale, 1e-5)


@pytest.mark.parity(
    ours="smollm.Attention",
    theirs="transformers: LlamaForCausalLM, output_attentions",
    convention="after the softmax, 9 heads on 3 keys",
    tolerance="1e-4, float32",
)
def test_patterns(ours, theirs, generator) -> None:
    ids = passage(ours[1], 50, generator)
    with smollm.recording(ours[0], "pattern") as seen:
        ours[0](ids)
    theirs.set_attn_implementation("eager")
    patterns = theirs(ids, output_attentions=True).attentions
    theirs.set_attn_implementation("sdpa")
    for layer in range(30):
        close(seen["pattern", layer], patterns[layer], 1e-4)


@pytest.mark.parity(
    ours="smollm.pad",
    theirs="transformers: LlamaForCausalLM, attention_mask and position_ids",
    convention="padding at the left, positions count tokens",
    tolerance="5e-4, float32",
)
def test_left_padding(ours, theirs, generator) -> None:
    passages = [passage(ours[1], n, generator) for n in (9, 30)]
    ids, mask = smollm.pad([ids[0].tolist() for ids in passages])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    expected = theirs(
        ids, attention_mask=mask.long(), position_ids=positions
    ).logits
    close(ours[0](ids, mask)[mask], expected[mask])


@pytest.mark.parity(
    ours="smollm.rope_angles",
    theirs="transformers: LlamaRotaryEmbedding",
    convention="half-split layout, base 100,000",
    tolerance="none",
)
def test_rotary_angles(ours, theirs, generator) -> None:
    """The same float32 operations: no tolerance up to the longest context."""
    positions = torch.randint(8192, (2, 64), generator=generator)
    rotary = LlamaRotaryEmbedding(theirs.config)
    cos, sin = rotary(torch.zeros(()), positions)
    ours_cos, ours_sin = smollm.rope_angles(positions, ours[0].inv_freq)
    close(ours_cos[:, 0], cos, 0)
    close(ours_sin[:, 0], sin, 0)


@pytest.mark.parity(
    ours="smollm.generate",
    theirs="transformers: LlamaForCausalLM.generate",
    convention="greedy, stops at the end of the turn",
    tolerance="none: equal tokens",
)
def test_greedy_text(ours, theirs) -> None:
    """Three prompts at once; the tokens are equal, not about equal."""
    prompts = [ours[1].encode(text) for text in (
        "The capital of France is",
        "def fibonacci(n):\n",
        ours[1].chat([("user", "Name three fruits.")]),
    )]  # fmt: skip
    rows = smollm.generate(ours[0], prompts, 24)
    for prompt, row in zip(prompts, rows, strict=True):
        whole = theirs.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=2,
            pad_token_id=2,
        )
        assert row == whole[0, len(prompt) :].tolist()


TEXTS = [
    "Call me Ishmael. Some years ago—never mind how long precisely—",
    "  def f(x):\n\treturn x ** 2  # 3.14159\n\n\n",
    "café cafe\u0301 日本語 한국어 العربية 👩🏽‍🚀🏳️‍🌈 \u200b\ufeff",
    "1234567890 1,000.50 2026-11-25",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>",
    "don't I'LL we've THEY'RE 's",
    " \n \t\r\n ",
    "",
]


@pytest.mark.parity(
    ours="smollm.Tokenizer.encode",
    theirs="transformers: AutoTokenizer",
    convention="no token added in front",
    tolerance="none: equal ids",
)
@pytest.mark.parametrize("text", TEXTS)
def test_token_ids(ours, their_tokenizer, text) -> None:
    ids = their_tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ours[1].encode(text) == ids


def test_token_ids_of_a_book(ours, their_tokenizer) -> None:
    text = data.moby_dick()
    ids = their_tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ours[1].encode(text) == ids


@pytest.mark.parity(
    ours="smollm.Tokenizer.chat",
    theirs="transformers: apply_chat_template",
    convention="ChatML with the model's system line",
    tolerance="none: equal text",
)
def test_chat_template(ours, their_tokenizer) -> None:
    turns = [("user", "Hi"), ("assistant", "Hello."), ("user", "Bye")]
    expected = their_tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in turns],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert ours[1].chat(turns) == expected
