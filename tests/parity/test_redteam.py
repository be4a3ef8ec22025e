"""Our search over tokens and our bound against nanoGCG's and SciPy's."""

from types import SimpleNamespace

import pytest
import torch
from nanogcg.gcg import GCG, sample_ids_from_grad
from scipy.stats import beta
from transformers import LlamaConfig, LlamaForCausalLM

from snippets import redteam
from snippets.smollm import Config, SmolLM

SIZES = Config(
    vocab_size=50, dim=16, n_layers=2, n_heads=2, n_kv_heads=1, head_dim=8,
    ffn_dim=24, max_seq_len=64,
)  # fmt: skip


def twins() -> tuple[SmolLM, LlamaForCausalLM]:
    """Our model and theirs with the same weights, float64."""
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=SIZES.vocab_size,
            hidden_size=SIZES.dim,
            intermediate_size=SIZES.ffn_dim,
            num_hidden_layers=SIZES.n_layers,
            num_attention_heads=SIZES.n_heads,
            num_key_value_heads=SIZES.n_kv_heads,
            head_dim=SIZES.head_dim,
            rope_theta=SIZES.rope_theta,
            rms_norm_eps=SIZES.norm_eps,
            tie_word_embeddings=True,
        )
    ).double()
    ours = SmolLM(SIZES).double()
    ours.load_state_dict(
        {
            name.removeprefix("model."): weight
            for name, weight in theirs.state_dict().items()
            if name != "lm_head.weight"
        }
    )
    return ours.requires_grad_(False), theirs.eval().requires_grad_(False)


@pytest.mark.parity(
    ours="redteam.propose",
    theirs="nanoGCG: sample_ids_from_grad",
    convention="one swap per candidate; same draws from the same seed",
    tolerance="none",
)
@pytest.mark.parametrize(("k", "width"), [(1, 7), (16, 64), (40, 200)])
def test_propose(k: int, width: int, generator: torch.Generator) -> None:
    """Theirs writes infinities into the gradient, so it gets a copy."""
    ids = torch.randint(100, (9,), generator=generator)
    gradient = torch.randn(9, 100, generator=generator)
    forbidden = torch.arange(0, 100, 3)
    seed = int(torch.randint(2**31, (), generator=generator))
    torch.manual_seed(seed)
    theirs = sample_ids_from_grad(
        ids, gradient.clone(), width, k, 1, forbidden
    )
    slope = gradient.clone()
    slope[:, forbidden] = torch.inf
    ours = redteam.propose(
        ids, slope, k, width, torch.Generator().manual_seed(seed)
    )
    assert torch.equal(ours, theirs)


@pytest.mark.parity(
    ours="redteam.token_gradient",
    theirs="nanoGCG: GCG.compute_token_gradient",
    convention="ours sums over the target's tokens, theirs takes the mean",
    tolerance="1e-6 relative, float64; their rotations are float32",
)
def test_token_gradient(generator: torch.Generator) -> None:
    """On a tiny Llama, by their method on a stub that holds its inputs."""
    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
    ours, theirs = twins()
    before, ids, after, target = torch.randint(
        SIZES.vocab_size, (4, 5), generator=generator
    )
    embed = theirs.get_input_embeddings()
    stub = SimpleNamespace(
        model=theirs,
        embedding_layer=embed,
        prefix_cache=None,
        before_embeds=embed(before[None]),
        after_embeds=embed(after[None]),
        target_embeds=embed(target[None]),
        target_ids=target[None],
        config=SimpleNamespace(use_mellowmax=False),
    )
    prompt = redteam.Prompt(before.tolist(), after.tolist(), target.tolist())
    torch.testing.assert_close(
        redteam.token_gradient(ours, ids, prompt) / len(target),
        GCG.compute_token_gradient(stub, ids[None])[0],
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parity(
    ours="redteam.upper_bound",
    theirs="SciPy: beta.ppf",
    convention="one-sided Clopper-Pearson bound",
    tolerance="1e-9",
)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_upper_bound(confidence: float, generator: torch.Generator) -> None:
    """The bound is a quantile of Beta(k + 1, n - k)."""
    for n in torch.randint(2, 400, (8,), generator=generator).tolist():
        k = int(torch.randint(n, (), generator=generator))
        assert redteam.upper_bound(k, n, confidence) == pytest.approx(
            beta.ppf(confidence, k + 1, n - k), abs=1e-9
        )
