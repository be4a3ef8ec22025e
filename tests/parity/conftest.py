"""Comparisons with the field's libraries; `nox -s parity` has these.

Elsewhere nothing of this folder is collected, so that the book's own
environment needs none of them.
"""

import secrets
from importlib.util import find_spec

import pytest
import torch

if find_spec("transformers") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def generator() -> torch.Generator:
    """Fresh randomness; pytest prints the seed of a test that fails."""
    seed = secrets.randbits(32)
    print("seed", seed)
    return torch.Generator().manual_seed(seed)
