"""Bytes that the kernel passes on from somebody else, as text that any encoder takes."""


def decode(data: bytes) -> str:
    r"""Return UTF-8 text; a byte that is not UTF-8 becomes `\xNN`.

    Not `surrogateescape`: its strings cannot be written as JSON. Not `replace`: two names that differ
    would look the same. Control characters stay; who prints to a terminal makes them harmless.
    """
    return data.decode("utf-8", "backslashreplace")


def clean(name: str) -> str:
    """Return what `decode` gives for a name that the os module has decoded."""
    if name.isascii():
        return name
    return decode(name.encode("utf-8", "surrogateescape"))
