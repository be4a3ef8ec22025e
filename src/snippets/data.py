"""Texts that several lessons use; where they come from, texts/README.md says.

::

    text = data.moby_dick()                 170 KB of good prose
    data.chunks(tokenizer.encode(text), 128)    equal pieces to run on
"""

from collections.abc import Sequence
from pathlib import Path

from snippets.arguments import expect

TEXTS = Path(__file__).with_name("texts")


def moby_dick() -> str:
    """Chapters 1 to 16 of Melville's *Moby-Dick*, before the ship sails.

    Paragraphs and chapter headings are lines with an empty line between.
    """
    return (TEXTS / "moby-dick.txt").read_text(encoding="utf-8")


def chunks(ids: Sequence[int], length: int) -> list[Sequence[int]]:
    """Cut token ids into pieces of equal length; a shorter rest is left out.

    Raises:
        ValueError: A length below 1.

    """
    expect(length >= 1, "a length of at least 1", length)
    ends = range(length, len(ids) + 1, length)
    return [ids[end - length : end] for end in ends]
