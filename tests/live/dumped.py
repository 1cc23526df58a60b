"""A container of the tests' own stores as the inspector has it: a struct, not JSON."""

import msgspec

from inspector.domains.containers.model import Container


def container(run, reference: str) -> Container:
    """Return the one container of this name or id; `run` is the command line's fixture."""
    text = run.ok("dump", "--section", "containers", "--container", reference)
    (found,) = msgspec.json.decode(text)["containers"]
    return msgspec.convert(found, Container, strict=False)
