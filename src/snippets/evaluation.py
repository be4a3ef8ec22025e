"""Evaluating language models: scores, and how far to trust them."""

from torch import Tensor


def _expect(condition: bool, expected: str, got: object) -> None:
    if not condition:
        raise ValueError(f"expected {expected}, got {got}")


def wilson(
    hits: Tensor, tries: int, z: float = 1.96
) -> tuple[Tensor, Tensor]:
    """Bound a success rate: Wilson's interval, 95 % unless told."""
    _expect(tries > 0, "tries > 0", tries)
    rate, shrink = hits.double() / tries, 1 + z**2 / tries
    middle = (rate + z**2 / (2 * tries)) / shrink
    spread = rate * (1 - rate) / tries + z**2 / (4 * tries**2)
    half = z * spread.sqrt() / shrink
    return (middle - half).clamp(0, 1), (middle + half).clamp(0, 1)
