"""SmolLM2: the GPT of Series 4, as language models are built today.

Papers:

- [SmolLM2] Allal et al. 2025, SmolLM2: When Smol Goes Big (arXiv 2502.02737)
- [Llama 2] Touvron et al. 2023, Llama 2: Open Foundation and Fine-Tuned Chat
  Models (arXiv 2307.09288), whose architecture SmolLM2 takes over
- [Llama 3] Grattafiori et al. 2024, The Llama 3 Herd of Models
  (arXiv 2407.21783), the same at scale
- [RMSNorm] Zhang, Sennrich 2019, Root Mean Square Layer Normalization
  (arXiv 1910.07467)
- [RoPE] Su et al. 2021, RoFormer: Enhanced Transformer with Rotary Position
  Embedding (arXiv 2104.09864)
- [GQA] Ainslie et al. 2023, GQA: Training Generalized Multi-Query Transformer
  Models from Multi-Head Checkpoints (arXiv 2305.13245)
- [SwiGLU] Shazeer 2020, GLU Variants Improve Transformer (arXiv 2002.05202)

Names::

    code            paper            meaning, shape
    x               x                residual stream, (batch, seq, dim)
    q, k, v         q, k, v          (batch, heads, seq, head_dim)
    inv_freq        θ_i in [RoPE]    angle per position, (head_dim/2,)
    cos, sin        cos mθ, sin mθ   (batch, 1, seq, head_dim)
    n_kv_heads      G in [GQA]       heads that own keys and values
    gate, up, down  W, V, W_2        of [SwiGLU]
    norm_eps        ε                keeps a zero vector finite
    seq, keys                        new tokens; the new and the cached

What changed since GPT-2: RMSNorm for LayerNorm, rotations of q and k for
position embeddings, 3 KV heads for 9 query heads, SwiGLU for GELU, no biases.
The modules carry the names of the official checkpoints (`q_proj`,
`gate_proj`, `input_layernorm`), so that weights load without renaming.

What lessons call::

    model, tokenizer = checkpoints.smollm2()
    complete(model, tokenizer, texts, n)   texts go on, as texts
    generate(model, prompts, n)            the same with token ids
    sample(logits, temperature, ...)       one token per row
    score(model, prompts, continuations)   log-probabilities, per token
    token_logprobs(model, ids, mask)       the same, with gradients
    pad(prompts)                           a batch: ids and mask
    model(ids, mask, cache)                logits; also in three steps:
    model.embed_tokens(ids)                  residual stream at the bottom
    model.run(x, mask, cache, first)         ... after the layers and the norm
    model.logits(hidden)                     ... as scores of all tokens
    KVCache(config, batch, capacity)       keys and values of earlier tokens
    recording(model, "resid", "pattern")   read what flows
    editing(model, {("resid", 15): f})     replace what flows
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import tokenizers
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from snippets.arguments import expect


def _wide(x: Tensor) -> Tensor:
    """At least float32: sums in bfloat16 would lose most digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@dataclass(frozen=True)
class Config:
    """The sizes of a Llama-like model; the defaults are SmolLM2-135M's."""

    vocab_size: int = 49_152  # tokens the model can read and write
    dim: int = 576  # width of the residual stream
    n_layers: int = 30  # each reads the stream and adds to it, twice
    n_heads: int = 9  # query heads
    n_kv_heads: int = 3  # key and value heads; each serves 3 query heads
    head_dim: int = 64  # width of a head
    ffn_dim: int = 1536  # width inside the feed-forward network
    max_seq_len: int = 8192  # longest context it was trained on
    rope_theta: float = 100_000.0  # base of the rotation frequencies
    norm_eps: float = 1e-5  # added to the mean square before the root
    eos_id: int = 2  # <|im_end|>: the turn is over

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        groups = self.n_heads % self.n_kv_heads == 0
        expect(groups, "n_heads a multiple of n_kv_heads",
                (self.n_heads, self.n_kv_heads))  # fmt: skip
        expect(self.head_dim % 2 == 0, "an even head_dim", self.head_dim)


# The parts


class RMSNorm(nn.Module):
    """Scale a vector to mean square 1, then each channel by its weight.

    Unlike LayerNorm it subtracts no mean and adds no bias ([RMSNorm] Eq. 4).
    """

    def __init__(self, dim: int, eps: float) -> None:
        """Start as the plain norm: all weights are 1."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last axis of x, (..., dim)."""
        mean_square = _wide(x).square().mean(-1, keepdim=True)
        scale = (mean_square + self.eps).rsqrt()
        return self.weight * (x * scale).to(x.dtype)


def inverse_frequencies(head_dim: int, theta: float) -> Tensor:
    """Angle by which each pair of channels turns per position.

    θ_i = theta^(-2i/head_dim), (head_dim/2,) ([RoPE] Section 3.2.2): from one
    radian down to almost none.
    """
    exponents = torch.arange(0, head_dim, 2, device="cpu").float() / head_dim
    return 1 / theta**exponents


def rope_angles(positions: Tensor, inv_freq: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines that rotate the queries and keys at positions.

    Args:
        positions: place of each token, (batch, seq).
        inv_freq: angle per position, (head_dim/2,).

    Returns:
        cos and sin, both (batch, 1, seq, head_dim), the same for all heads.

    """
    angles = positions[:, None, :, None].float() * inv_freq
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the channel pairs of queries or keys ([RoPE] Eq. 34).

    Channel i is paired with i + head_dim/2, as in all Llama-like checkpoints;
    the paper pairs neighbors. The two differ by a fixed order of channels.

    Args:
        x: queries or keys, (batch, heads, seq, head_dim).
        cos, sin: from `rope_angles`.

    """
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return x * cos.to(x) + turned * sin.to(x)


def visible(mask: Tensor, seq: int) -> Tensor:
    """Say which keys each of the last `seq` tokens may attend to.

    Itself and the real tokens before it. A token of the padding sees only
    itself: nothing reads what it makes of that, but a softmax over nothing
    would be NaN.

    Args:
        mask: True at real tokens, False at padding, (batch, keys).
        seq: how many of the keys belong to new tokens.

    Returns:
        (batch, 1, seq, keys), one mask for all heads.

    """
    places = torch.arange(mask.shape[1], device=mask.device)
    new = places[-seq:, None]
    past = (places <= new) & mask[:, None, None, :]
    return past | (places == new)


class KVCache:
    """Keys and values of the tokens already read, for every layer.

    `length` tokens of `capacity` are filled. Setting a smaller `length`
    forgets the tokens after it. It is written in place, so it is for a model
    whose parameters need no gradients.
    """

    def __init__(
        self,
        config: Config,
        batch: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Make room for `capacity` tokens in each row of a batch."""
        layers, heads = config.n_layers, config.n_kv_heads
        shape = (layers, batch, heads, capacity, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype)
        self.values = torch.zeros(shape, dtype=dtype)
        self.length = 0

    def append(
        self, layer: int, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store a layer's new k and v; return all it has so far.

        Args:
            layer: which layer they belong to.
            k, v: of the new tokens, (batch, n_kv_heads, seq, head_dim).

        Returns:
            Of all tokens, both (batch, n_kv_heads, keys, head_dim).

        Raises:
            ValueError: The cache is full.

        """
        end, capacity = self.length + k.shape[2], self.keys.shape[3]
        expect(end <= capacity, f"at most {capacity} tokens in all", end)
        self.keys[layer, :, :, self.length : end] = k
        self.values[layer, :, :, self.length : end] = v
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class Attention(nn.Module):
    """Causal attention in which groups of query heads share keys ([GQA])."""

    def __init__(self, config: Config, layer: int) -> None:
        """Make the attention of layer number `layer`, with random weights."""
        super().__init__()
        self.layer = layer
        self.kv_heads, self.head_dim = config.n_kv_heads, config.head_dim
        inner = config.n_heads * config.head_dim
        kv = config.n_kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.dim, inner, bias=False)
        self.k_proj = nn.Linear(config.dim, kv, bias=False)
        self.v_proj = nn.Linear(config.dim, kv, bias=False)
        self.o_proj = nn.Linear(inner, config.dim, bias=False)
        self.pattern = nn.Identity()  # places to read and to edit
        self.heads = nn.Identity()

    def forward(
        self,
        x: Tensor,
        rope: tuple[Tensor, Tensor],
        allowed: Tensor,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Let every token gather from the tokens it may see.

        Args:
            x: normalized residual stream, (batch, seq, dim).
            rope: cos and sin of the new tokens, from `rope_angles`.
            allowed: from `visible`, (batch, 1, seq, keys).
            cache: keys and values of the tokens before x.

        Returns:
            What the layer adds to the stream, (batch, seq, dim).

        """
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # (batch, heads or kv_heads, seq, head_dim)
        q, k = rotate(q, *rope), rotate(k, *rope)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        # n_heads = kv_heads * group: a group of query heads shares k and v
        q = q.reshape(*k.shape[:2], -1, *q.shape[2:])
        scores = torch.einsum("bkgsd,bktd->bkgst", q, k) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~allowed[:, None], -torch.inf)
        pattern = scores.softmax(-1)
        pattern = self.pattern(pattern.flatten(1, 2)).reshape(pattern.shape)
        heads = torch.einsum("bkgst,bktd->bkgsd", pattern, v).flatten(1, 2)
        heads = self.heads(heads)  # (batch, heads, seq, head_dim)
        added: Tensor = self.o_proj(heads.transpose(1, 2).flatten(2))
        return added


class SwiGLU(nn.Module):
    """Feed-forward network in which one half opens gates for the other.

    down(silu(gate(x)) * up(x)) ([SwiGLU] Eq. 6).
    """

    def __init__(self, config: Config) -> None:
        """Make the network with random weights."""
        super().__init__()
        self.gate_proj = nn.Linear(config.dim, config.ffn_dim, bias=False)
        self.up_proj = nn.Linear(config.dim, config.ffn_dim, bias=False)
        self.down_proj = nn.Linear(config.ffn_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Treat each token by itself, (batch, seq, dim)."""
        gate = silu(self.gate_proj(x))
        added: Tensor = self.down_proj(gate * self.up_proj(x))
        return added


class Layer(nn.Module):
    """Two readings of the residual stream, each added to it."""

    def __init__(self, config: Config, layer: int) -> None:
        """Make layer number `layer` with random weights."""
        super().__init__()
        self.input_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.mlp = SwiGLU(config)

    def forward(
        self,
        x: Tensor,
        rope: tuple[Tensor, Tensor],
        allowed: Tensor,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Return the stream after this layer; arguments as `Attention`'s."""
        x = x + self.self_attn(self.input_layernorm(x), rope, allowed, cache)
        x = x + self.mlp(self.post_attention_layernorm(x))
        return x


class SmolLM(nn.Module):
    """The whole model: embedding, layers, norm, and the embedding again."""

    def __init__(self, config: Config) -> None:
        """Make the model with random weights."""
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(
            Layer(config, layer) for layer in range(config.n_layers)
        )
        self.norm = RMSNorm(config.dim, config.norm_eps)
        # Not a buffer: `model.to(torch.bfloat16)` would round the angles.
        self.inv_freq = inverse_frequencies(
            config.head_dim, config.rope_theta
        )

    def run(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
        first: int = 0,
    ) -> Tensor:
        """Send a residual stream through the layers and the last norm.

        Args:
            x: stream of the new tokens, (batch, seq, dim); at the bottom it
                is `embed_tokens(ids)`, or vectors of your own.
            mask: True at real tokens, False at padding, for the cached tokens
                and the new, (batch, keys); without it all are real.
            cache: the tokens before x; x is added to it.
            first: layer to start at; x is what the layers below left.

        Returns:
            (batch, seq, dim), ready for `logits`.

        """
        batch, seq = x.shape[:2]
        past = cache.length if cache is not None else 0
        if mask is None:
            mask = x.new_ones(batch, past + seq, dtype=torch.bool)
        shape = (batch, past + seq)
        fits = mask.shape == shape
        expect(fits, f"a mask of shape {shape}", (*mask.shape,))
        mask = mask.bool()
        positions = mask.cumsum(-1).sub(1).clamp(min=0)[:, past:]
        rope = rope_angles(positions, self.inv_freq)
        allowed = visible(mask, seq)
        for layer in self.layers[first:]:
            x = layer(x, rope, allowed, cache)
        if cache is not None:
            cache.length += seq
        normed: Tensor = self.norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Score all tokens: (..., dim) to (..., vocab_size).

        The output matrix is the embedding itself (tied weights).
        """
        return linear(hidden, self.embed_tokens.weight)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Score the token after each of ids.

        Args:
            ids: token ids, (batch, seq).
            mask, cache: as in `run`.

        Returns:
            Logits, (batch, seq, vocab_size).

        """
        expect(ids.ndim == 2, "ids of shape (batch, seq)", (*ids.shape,))
        return self.logits(self.run(self.embed_tokens(ids), mask, cache))

    def place(self, name: str, layer: int) -> nn.Module:
        """Find the module whose output flows at a place, for hooks.

        Args:
            name: "resid", the residual stream after `layer` layers, so that 0
                is the embedding and n_layers what the last norm reads; and
                of a layer: "attn" and "mlp", what it adds to the stream (all
                three (batch, seq, dim)); "pattern", its attention weights,
                (batch, heads, seq, keys); "heads", what each head gathered,
                before `o_proj` mixes them, (batch, heads, seq, head_dim).
            layer: counted from 0.

        """
        if name == "resid":
            stages: list[nn.Module] = [self.embed_tokens, *self.layers]
            return stages[layer]
        block: Any = self.layers[layer]
        places: dict[str, nn.Module] = {
            "attn": block.self_attn,
            "mlp": block.mlp,
            "pattern": block.self_attn.pattern,
            "heads": block.self_attn.heads,
        }
        expect(name in places, f"one of resid, {', '.join(places)}", name)
        return places[name]


# To read and to replace what flows


Edit = Callable[[Tensor], Tensor | None]


@contextmanager
def editing(
    model: SmolLM, edits: Mapping[tuple[str, int], Edit]
) -> Iterator[None]:
    """Replace what flows at places of the model, inside a `with` block.

    Everything that runs the model sees it: `generate`, `score`, your loss.

    Args:
        model: the model.
        edits: for a place and a layer (`SmolLM.place`), a function of the
            tensor there that returns its replacement, or None to leave it.

    """
    with ExitStack() as stack:
        for (name, layer), edit in edits.items():

            def hook(
                _: nn.Module, inputs: object, out: Tensor, edit: Edit = edit
            ) -> Tensor | None:
                return edit(out)

            place = model.place(name, layer)
            stack.enter_context(place.register_forward_hook(hook))
        yield


@contextmanager
def recording(
    model: SmolLM, *names: str
) -> Iterator[dict[tuple[str, int], Tensor]]:
    """Keep what flows at the named places, of the latest run of the model.

    Args:
        model: the model.
        names: places as in `SmolLM.place`, of all layers.

    Yields:
        A dictionary that fills as the model runs: `seen["resid", 15]`.

    """
    seen: dict[tuple[str, int], Tensor] = {}
    layers = model.config.n_layers
    places = [
        (name, layer)
        for name in names
        for layer in range(layers + (name == "resid"))
    ]

    def keep(place: tuple[str, int]) -> Edit:
        return lambda x: seen.update({place: x})

    with editing(model, {place: keep(place) for place in places}):
        yield seen


# Batches, samples and scores


def pad(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Make a batch of prompts: shorter ones are filled up on the left.

    So all of them end at the last place, where the next token is read.

    Returns:
        ids and mask, both (batch, seq); mask is True at real tokens.

    Raises:
        ValueError: No prompt, or one without a token.

    """
    expect(len(prompts) > 0, "at least one prompt", 0)
    lengths = [len(prompt) for prompt in prompts]
    expect(min(lengths) > 0, "prompts of at least one token", lengths)
    ids = torch.zeros(len(prompts), max(lengths), dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, -len(prompt) :] = torch.tensor(prompt)
        mask[row, -len(prompt) :] = True
    return ids, mask


class Sampling(TypedDict, total=False):
    """The options of `sample`, passed on by those who call it."""

    temperature: float
    top_k: int | None
    top_p: float | None
    generator: torch.Generator | None


def sample(
    logits: Tensor,
    temperature: float = 0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose the next token of each row.

    Args:
        logits: scores of all tokens, (batch, vocab_size).
        temperature: 0 takes the best; 1 samples from the model as it is.
        top_k: sample only from the k best tokens.
        top_p: sample only from the best tokens that together have at least
            this probability (nucleus sampling).
        generator: source of randomness, needed unless temperature is 0.

    Returns:
        Token ids, (batch,).

    Raises:
        ValueError: A negative temperature, or chance without a generator.

    """
    expect(temperature >= 0, "temperature >= 0", temperature)
    if temperature == 0:
        return logits.argmax(-1)
    if generator is None:
        raise ValueError("expected a generator to sample with, got None")
    probs = (_wide(logits) / temperature).softmax(-1)
    probs, tokens = probs.sort(dim=-1, descending=True)
    if top_k is not None:
        expect(top_k > 0, "top_k > 0", top_k)
        probs[:, top_k:] = 0
    if top_p is not None:
        expect(0 < top_p <= 1, "0 < top_p <= 1", top_p)
        before = probs.cumsum(-1) - probs
        probs[before >= top_p] = 0
    choice = torch.multinomial(probs, 1, generator=generator)
    return tokens.gather(-1, choice)[:, 0]


@torch.no_grad()
def generate(
    model: SmolLM,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop: Collection[int] | None = None,
    **sampling: Unpack[Sampling],
) -> list[list[int]]:
    """Continue a batch of prompts, each until it stops or is long enough.

    Args:
        model: the model.
        prompts: token ids; the same prompt n times gives n samples.
        max_new_tokens: most tokens to add.
        stop: token ids that end a row; by default the model's `eos_id`.
        sampling: temperature, top_k, top_p and generator, as in `sample`; by
            default the best token is taken.

    Returns:
        The new tokens of each row. One that stopped has its stop token last.

    """
    ends = {model.config.eos_id} if stop is None else set(stop)

    def stopped(row: list[int]) -> bool:
        return bool(row) and row[-1] in ends

    ids, mask = pad(prompts)
    batch, seq = ids.shape
    dtype = model.embed_tokens.weight.dtype
    cache = KVCache(model.config, batch, seq + max_new_tokens, dtype)
    rows: list[list[int]] = [[] for _ in prompts]
    for _ in range(max_new_tokens):
        hidden = model.run(model.embed_tokens(ids), mask, cache)
        tokens = sample(model.logits(hidden[:, -1]), **sampling)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if not stopped(row):
                row.append(token)
        if all(map(stopped, rows)):
            break
        ids = tokens[:, None]
        mask = torch.cat([mask, mask.new_ones(batch, 1)], dim=1)
    return rows


def token_logprobs(
    model: SmolLM, ids: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Log-probability of each token after those before it, with gradients.

    Args:
        model: the model.
        ids: token ids, (batch, seq).
        mask: True at real tokens, (batch, seq), as from `pad`.

    Returns:
        (batch, seq - 1); entry t is of token t + 1. Nothing in it is zeroed;
        what belongs to padding is for you to leave out.

    """
    logits: Tensor = model(ids, mask)[:, :-1]
    logprobs = _wide(logits).log_softmax(-1)
    return logprobs.gather(-1, ids[:, 1:, None])[..., 0]


@torch.no_grad()
def score(
    model: SmolLM,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[int]],
    batch_size: int = 16,
) -> list[Tensor]:
    """Log-probabilities of the tokens of continuations, given their prompts.

    Args:
        model: the model.
        prompts, continuations: token ids, as many of one as of the other.
        batch_size: how many to run at once.

    Returns:
        For each pair, one number per token of the continuation. Their sum
        is the log-probability of the continuation as a whole.

    """
    pairs = list(zip(prompts, continuations, strict=True))
    expect(all(p and c for p, c in pairs), "no empty text", "one")
    scores: list[Tensor] = []
    for start in range(0, len(pairs), batch_size):
        batch = pairs[start : start + batch_size]
        ids, mask = pad([[*prompt, *new] for prompt, new in batch])
        hidden = model.run(model.embed_tokens(ids), mask)
        for row, (_, new) in enumerate(batch):  # logits only where needed
            logits = model.logits(hidden[row, -len(new) - 1 : -1])
            logprobs = _wide(logits).log_softmax(-1)
            chosen = torch.tensor(new)[:, None]
            scores.append(logprobs.gather(-1, chosen)[:, 0])
    return scores


# Text


SYSTEM = (
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
)


class Tokenizer:
    """Byte-level BPE: any text to token ids and back, without loss."""

    def __init__(self, bpe: tokenizers.Tokenizer) -> None:
        """Wrap a tokenizer of the library `tokenizers`."""
        self.bpe = bpe

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; `<|im_start|>` and its like are one token."""
        ids: list[int] = self.bpe.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Text of token ids, on demand with special tokens written out."""
        skip = not special
        text: str = self.bpe.decode(list(ids), skip_special_tokens=skip)
        return text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token by itself, to label plots with."""
        return [self.decode([token], special=True) for token in ids]

    def tokens_with(self, text: str) -> list[int]:
        """All tokens whose text contains `text`, for `generate`'s stop."""
        size = self.bpe.get_vocab_size()
        return [i for i, piece in enumerate(self.pieces(range(size)))
                if text in piece]  # fmt: skip

    def chat(self, messages: Sequence[tuple[str, str]]) -> str:
        """Write a conversation as the model saw them in training (ChatML).

        Args:
            messages: role ("system", "user", "assistant") and content of
                each; without a system message, SmolLM2's own comes first.

        Returns:
            The text up to where the assistant's next answer begins.

        """
        expect(len(messages) > 0, "at least one message", 0)
        if messages[0][0] != "system":
            messages = [("system", SYSTEM), *messages]
        turns = [f"<|im_start|>{role}\n{content}<|im_end|>\n"
                 for role, content in messages]  # fmt: skip
        return "".join(turns) + "<|im_start|>assistant\n"


def complete(
    model: SmolLM,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    max_new_tokens: int,
    stop: str | None = None,
    **sampling: Unpack[Sampling],
) -> list[str]:
    """Continue texts, as `generate` continues token ids.

    Args:
        model, tokenizer: from `checkpoints.smollm2`.
        texts: prompts; `tokenizer.chat` makes one of a conversation.
        max_new_tokens: most tokens to add.
        stop: text at which a continuation ends, as "\\n"; it is cut off. It
            must be part of some token, or nothing stops early.
        sampling: as in `sample`; by default the best token is taken.

    Returns:
        What comes after each text.

    """
    ends = {model.config.eos_id}
    if stop is not None:
        ends.update(tokenizer.tokens_with(stop))
    prompts = [tokenizer.encode(text) for text in texts]
    rows = generate(model, prompts, max_new_tokens, ends, **sampling)
    answers = [tokenizer.decode(row) for row in rows]
    return [text.partition(stop)[0] if stop else text for text in answers]
