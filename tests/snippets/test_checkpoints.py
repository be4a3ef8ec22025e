"""Weights arrive as they were written, whole, and by no other way."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import jinja2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from snippets import checkpoints, smollm

ROOT = Path(__file__).parents[2]
SIZES = smollm.Config(
    vocab_size=261,
    dim=32,
    n_layers=2,
    n_heads=4,
    n_kv_heads=2,
    head_dim=8,
    ffn_dim=64,
    max_seq_len=99,
    rope_theta=500.0,
)


@pytest.fixture(scope="module")
def model() -> smollm.SmolLM:
    torch.manual_seed(0)
    return smollm.SmolLM(SIZES).requires_grad_(False)


def llama_cpp_order(weight: np.ndarray, heads: int) -> np.ndarray:
    """The function `permute` of llama.cpp's convert_hf_to_gguf.py."""
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
        .swapaxes(1, 2)
        .reshape(weight.shape)
    )


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory, model) -> Path:
    """Our model as llama.cpp would write it, with a tokenizer of bytes."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(SIZES.vocab_size)
    writer.add_embedding_length(SIZES.dim)
    writer.add_block_count(SIZES.n_layers)
    writer.add_head_count(SIZES.n_heads)
    writer.add_head_count_kv(SIZES.n_kv_heads)
    writer.add_rope_dimension_count(SIZES.head_dim)
    writer.add_feed_forward_length(SIZES.ffn_dim)
    writer.add_context_length(SIZES.max_seq_len)
    writer.add_rope_freq_base(SIZES.rope_theta)
    writer.add_layer_norm_rms_eps(SIZES.norm_eps)
    writer.add_eos_token_id(SIZES.eos_id)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(checkpoints.pre_tokenizers.ByteLevel.alphabet())
    writer.add_token_list([*special, *alphabet, "th", "12"])
    writer.add_token_types([3] * 3 + [1] * 258)
    writer.add_token_merges(["t h", "1 2"])
    ours = {theirs: name for name, theirs in checkpoints.NAMES.items()}
    for name, weight in model.state_dict().items():
        array = weight.numpy()
        for kind, heads in (
            ("q_proj", SIZES.n_heads),
            ("k_proj", SIZES.n_kv_heads),
        ):
            if kind in name:
                array = llama_cpp_order(array, heads)
        parts = re.sub(r"(self_attn|mlp)\.", r"\1#", name).split(".")
        parts = [ours.get(part.replace("#", "."), part) for part in parts]
        if array.ndim == 2 and "ffn_up" in parts:  # one tensor in 8 bits
            kind = gguf.GGMLQuantizationType.Q8_0
            array = gguf.quantize(array, kind)
            writer.add_tensor(".".join(parts), array, raw_dtype=kind)
        else:
            writer.add_tensor(".".join(parts), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def wheel(gguf_file, tmp_path, monkeypatch) -> Path:
    """As if the wheel had our file, and the cache were empty."""
    digest = hashlib.sha256(gguf_file.read_bytes()).hexdigest()
    monkeypatch.setattr(checkpoints, "GGUF_SHA256", digest)
    monkeypatch.setattr(checkpoints, "wheel_file", lambda: gguf_file)
    monkeypatch.setenv("RECENT_LLM_ADVANCES_CACHE", str(tmp_path / "cache"))
    return gguf_file


def folder() -> Path:
    [found] = checkpoints.cache().iterdir()
    return found


class TestConversion:
    def test_what_llama_cpp_wrote_comes_back(self, wheel, model) -> None:
        read, tokenizer = checkpoints.smollm2()
        assert read.config == SIZES
        for name, weight in model.state_dict().items():
            rounded = {"atol": 2e-3, "rtol": 0} if "up_proj" in name else {}
            torch.testing.assert_close(
                read.state_dict()[name], weight, **rounded
            )
        text = "<|im_start|>thé12"
        ids = torch.tensor([tokenizer.encode(text)])
        assert ids.shape == (1, 6)  # é is two bytes, digits stand alone
        assert ids[0, :2].tolist() == [1, 259]
        assert tokenizer.decode(ids[0].tolist(), special=True) == text
        torch.testing.assert_close(read(ids), model(ids), atol=0.02, rtol=0)

    def test_half_split_undoes_llama_cpp(self) -> None:
        weight = np.arange(48.0, dtype=np.float32).reshape(24, 2)
        for heads in (1, 2, 3, 6):
            mixed = llama_cpp_order(weight, heads)
            assert (checkpoints.half_split(mixed, heads) == weight).all()

    def test_another_file_is_refused(self, wheel, monkeypatch) -> None:
        monkeypatch.setattr(checkpoints, "GGUF_SHA256", "0" * 64)
        with pytest.raises(ValueError, match=r"expected SHA-256 0{64} of .*"):
            checkpoints.smollm2()
        assert list(checkpoints.cache().iterdir()) == []

    def test_it_is_ready_to_look_at_and_can_be_trained(self, wheel) -> None:
        read, _ = checkpoints.smollm2()
        assert not read.training
        assert not any(p.requires_grad for p in read.parameters())
        read.requires_grad_(True)(torch.tensor([[1, 2]])).sum().backward()
        with torch.no_grad():
            for weight in read.parameters():
                weight.zero_()
        assert checkpoints.intact(folder())  # the mapped file is not ours
        again, _ = checkpoints.smollm2(torch.bfloat16)
        assert again.embed_tokens.weight.dtype == torch.bfloat16
        assert again.embed_tokens.weight.abs().max() > 0


class TestCache:
    def test_it_is_made_once(self, wheel, monkeypatch) -> None:
        checkpoints.smollm2()
        monkeypatch.setattr(checkpoints, "wheel_file", None)
        checkpoints.smollm2()

    def test_its_sums_are_those_of_sha256sum(self, wheel) -> None:
        checkpoints.smollm2()
        for line in (folder() / checkpoints.SUMS).read_text().splitlines():
            digest, name = line.split("  ")
            data = (folder() / name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == digest

    @staticmethod
    def flip(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda f: TestCache.flip(f / "model.safetensors"),
            lambda f: os.truncate(f / "model.safetensors", 1000),
            lambda f: (f / "tokenizer.json").unlink(),
            lambda f: (f / "config.json").write_text("{}"),
            lambda f: save_file({}, f / "model.safetensors"),
            lambda f: (f / checkpoints.SUMS).unlink(),
            lambda f: (f / checkpoints.SUMS).write_bytes(b"\xff"),
            lambda f: [file.unlink() for file in f.iterdir()],
        ],
        ids=[
            "flip",
            "cut",
            "gone",
            "config",
            "foreign",
            "sum",
            "byte",
            "all",
        ],
    )
    def test_a_damaged_one_is_made_again(self, wheel, model, damage) -> None:
        checkpoints.smollm2()
        damage(folder())
        assert not checkpoints.intact(folder())
        read, _ = checkpoints.smollm2()
        assert torch.equal(
            read.embed_tokens.weight, model.embed_tokens.weight
        )
        assert checkpoints.intact(folder())

    def test_a_killed_conversion_leaves_nothing_by_halves(
        self, wheel, tmp_path
    ) -> None:
        script = f"""
import os, signal
from pathlib import Path
from snippets import checkpoints as c
c.wheel_file = lambda: Path({str(wheel)!r})
c.GGUF_SHA256 = {checkpoints.GGUF_SHA256!r}
c.tokenizer_of = lambda reader: os.kill(os.getpid(), signal.SIGKILL)
c.smollm2()
"""
        killed = subprocess.run([sys.executable, "-c", script])
        assert killed.returncode == -signal.SIGKILL
        left = folder()
        assert left.name.startswith("making-")
        assert list(left.rglob("model.safetensors"))
        checkpoints.smollm2()
        assert left.exists()  # it might be at work
        shutil.rmtree(checkpoints.cache() / next(
            f.name for f in checkpoints.cache().iterdir() if f != left
        ))  # fmt: skip
        os.utime(left, (time.time() - 4000,) * 2)
        checkpoints.smollm2()
        assert not left.exists()

    def test_two_at_once_do_no_harm(self, wheel, monkeypatch) -> None:
        convert, runs = checkpoints.convert, []

        def overtaken(source: Path, target: Path) -> None:
            runs.append(target)
            if len(runs) == 1:
                checkpoints.smollm2()
            convert(source, target)

        monkeypatch.setattr(checkpoints, "convert", overtaken)
        checkpoints.smollm2()
        assert len(runs) == 2
        assert checkpoints.intact(folder())

    def test_where_it_is(self, monkeypatch, tmp_path) -> None:
        monkeypatch.delenv("RECENT_LLM_ADVANCES_CACHE", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert checkpoints.cache() == tmp_path / "recent-llm-advances"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        home = tmp_path / ".cache" / "recent-llm-advances"
        assert checkpoints.cache() == home


class TestSources:
    def test_without_the_wheel_one_message_says_what_to_do(
        self, monkeypatch, tmp_path
    ) -> None:
        monkeypatch.setenv("RECENT_LLM_ADVANCES_CACHE", str(tmp_path))
        monkeypatch.setattr(checkpoints, "WHEEL", "no-such-wheel")
        command = r"pip install --no-deps no-such-wheel==0\.1\.2"
        with pytest.raises(FileNotFoundError, match=command) as caught:
            checkpoints.smollm2()
        assert caught.value.__cause__ is None
        assert list(tmp_path.iterdir()) == []

    def test_the_wheel_is_pinned_everywhere_alike(self) -> None:
        pin = f"{checkpoints.WHEEL}=={checkpoints.VERSION}"
        lock = (ROOT / "constraints.txt").read_text().splitlines()
        assert pin in lock
        lines = (ROOT / "model.txt").read_text()
        assert re.search(
            rf"^{pin} \\\n    --hash=sha256:[0-9a-f]{{64}}$", lines, re.M
        )

    def test_the_installed_wheel_is_the_pinned_one(self) -> None:
        file = checkpoints.wheel_file()
        assert file.stat().st_size == 98_362_432
        assert checkpoints.sha256(file) == checkpoints.GGUF_SHA256

    @pytest.mark.parametrize("name", checkpoints.FILES)
    def test_a_folder_must_be_complete(self, wheel, name) -> None:
        checkpoints.smollm2()
        (folder() / name).unlink()
        with pytest.raises(FileNotFoundError, match=f"expected {name} in"):
            checkpoints.from_folder(folder())

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("model_type", "gpt2"),
            ("rope_scaling", {"factor": 2}),
            ("tie_word_embeddings", False),
            ("attention_bias", True),
        ],
    )
    def test_another_architecture_is_refused(self, wheel, key, value) -> None:
        checkpoints.smollm2()
        file = folder() / "config.json"
        file.write_text(
            json.dumps({**json.loads(file.read_text()), key: value})
        )
        with pytest.raises(ValueError, match=f"expected {key} .* got"):
            checkpoints.from_folder(folder())

    def test_the_hub_is_asked_for_one_revision(
        self, wheel, monkeypatch
    ) -> None:
        checkpoints.smollm2()
        made, asked = folder(), []

        def download(repo: str, **options: object) -> str:
            asked.append((repo, options))
            return str(made)

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        read, _ = checkpoints.from_hub("us/tiny", "abc", torch.bfloat16)
        files = ["config.json", "model.safetensors", "tokenizer.json"]
        options = {"revision": "abc", "allow_patterns": files}
        assert asked == [("us/tiny", options)]
        assert read.config == SIZES
        assert read.norm.weight.dtype == torch.bfloat16


@pytest.mark.slow
def test_the_real_conversion(tmp_path, monkeypatch) -> None:
    """Made again elsewhere it is the same; its template is our `chat`."""
    _, tokenizer = checkpoints.smollm2()
    cached = sorted(checkpoints.cache().rglob(checkpoints.SUMS))
    monkeypatch.setenv("RECENT_LLM_ADVANCES_CACHE", str(tmp_path))
    checkpoints.smollm2()
    made = (folder() / checkpoints.SUMS).read_text()
    assert made in [file.read_text() for file in cached]

    reader = gguf.GGUFReader(checkpoints.wheel_file())
    template = reader.fields["tokenizer.chat_template"].contents()
    turns = [("user", "Hi\n there"), ("assistant", " Ho "), ("user", "")]
    for messages in (turns, turns[:1], [("system", "Be brief."), *turns]):
        expected = jinja2.Template(template).render(
            messages=[{"role": r, "content": c} for r, c in messages],
            add_generation_prompt=True,
        )
        assert tokenizer.chat(messages) == expected
