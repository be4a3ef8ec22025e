"""Runs that are too slow for a page: recorded once, checked at every use.

A script in training/ makes a run and calls `save`: weights and curves as
safetensors, other results as JSON, and in manifest.json how they came about.
A page shows what was recorded and recomputes a random slice of it live::

    run = recorded.load("icl_linear_attention.safetensors")
    glue("seconds", recorded.seconds("icl_linear_attention.safetensors"))

and says how long it took on one core, by that number. Write the file's name
out where you load it: by its name the page's cells depend on it.
"""

import hashlib
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = Path(__file__).parent / "weights"
MANIFEST = WEIGHTS / "manifest.json"


def manifest() -> dict[str, dict[str, Any]]:
    """How each recorded file came about, by its name."""
    entries: dict[str, dict[str, Any]] = json.loads(MANIFEST.read_text())
    return entries


def entry(name: str) -> dict[str, Any]:
    """How one recorded file came about."""
    entries = manifest()
    if name not in entries:
        known = ", ".join(entries) or "nothing"
        raise ValueError(f"{name!r} was not recorded; what was: {known}")
    return entries[name]


def load(name: str) -> dict[str, Any]:
    """Read a recorded run: tensors by name, or what the JSON says.

    Raises:
        ValueError: when the file is not, byte for byte, what was recorded.

    """
    origin, file = entry(name), WEIGHTS / name
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != origin["sha256"]:
        raise ValueError(
            f"{file} is not what was recorded: restore it from the "
            f"repository, or record it again: python {origin['script']}"
        )
    run: dict[str, Any]
    run = (
        load_file(file) if file.suffix == ".safetensors" else json.loads(data)
    )
    return run


def seconds(name: str) -> float:
    """How long the run took on one core."""
    return float(entry(name)["seconds"])


def save(
    name: str,
    run: Callable[[], dict[str, Any]],
    *,
    recipe: str,
    seed: int,
    live: str,
) -> None:
    """Make a run on one core and record what it returns.

    Args:
        name: of the file, NAME.safetensors or NAME.json, where the script is
            training/NAME.py.
        run: returns tensors by name, or for JSON what JSON can say.
        recipe: one sentence on what is trained, on what, and how long.
        seed: what the run's randomness starts from.
        live: which slice of the record a page can recompute.

    """
    file = WEIGHTS / name
    if file.suffix not in (".safetensors", ".json"):
        raise ValueError(
            f"expected NAME.safetensors or NAME.json, got {name}"
        )
    torch.set_num_threads(1)
    start = time.process_time()
    result = run()
    used = time.process_time() - start
    file.parent.mkdir(exist_ok=True)
    if file.suffix == ".safetensors":
        save_file(result, file)
    else:
        text = json.dumps(result, indent=1, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
    data = file.read_bytes()
    entries = manifest() if MANIFEST.is_file() else {}
    entries[name] = {
        "script": f"training/{file.stem}.py",
        "recipe": recipe,
        "live": live,
        "seed": seed,
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "seconds": round(used, 1),
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    text = json.dumps(dict(sorted(entries.items())), indent=2)
    MANIFEST.write_text(text + "\n", encoding="utf-8")
    print(f"{file}: {len(data) / 1e6:.2f} MB, {used:.1f} s on one core")
