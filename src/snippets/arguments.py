"""What every module says of a wrong argument."""


def expect(condition: bool, expected: str, got: object) -> None:
    """Raise ValueError unless the condition holds: "expected .., got ..".

    Args:
        condition: what must be true of the argument.
        expected: what it should have been, in words.
        got: what it was.

    """
    if not condition:
        raise ValueError(f"expected {expected}, got {got}")
