"""What one side must have written: a row is not measured when it has not."""


def expect(what: str, found: object, wanted: object) -> None:
    """Compare what was found with what the generator knows.

    Raises:
        AssertionError: they differ.
    """
    if found != wanted:
        raise AssertionError(f"{what}: found {found}, not {wanted}")
