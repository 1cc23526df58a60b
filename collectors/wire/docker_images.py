"""What Docker's API, and Podman's, says of the images that containers were made from."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field, structs

from collectors.engine import ImageStep
from collectors.wire import image_history
from collectors.wire.failures import Refused

if TYPE_CHECKING:
    from collectors.wire.http import Http

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_ASKED_AT_ONCE = 100


class RootFs(Struct, rename="pascal"):
    """`RootFS`: the layers' diff ids, lowest first."""

    layers: list[str] | None = None


class Image(Struct, rename="pascal"):
    """The answer to `/images/ID/json`."""

    repo_digests: list[str] | None = None
    """`NAME@DIGEST` for each name that it has in a registry."""
    root_fs: RootFs | None = field(name="RootFS", default=None)

    history: list[image_history.Step] | None = None
    """Podman; Docker is asked for it by itself."""
    steps: tuple[ImageStep, ...] = ()
    """How it was made, put together from either."""

    def digest(self, name: str | None) -> str | None:
        """Return the digest that the registry knows it by, of several names' the one it is used by."""
        known = self.repo_digests or []
        repository = _repository(name or "")
        same = [one for one in known if repository and _repository(one).endswith(repository)]
        chosen = next(iter(same or known), None)
        return chosen.rpartition("@")[2] or None if chosen else None

    def layers(self) -> tuple[str, ...]:
        """Return the layers' diff ids, lowest first."""
        return tuple((self.root_fs.layers or ()) if self.root_fs is not None else ())


class Images(Struct):
    """Remembers images by id: what one is made of never changes."""

    target: str
    """What to GET, with `{id}` in it."""
    history: str | None = None
    """What to GET for how one was made, where the first answer has it not."""
    _known: dict[str, Image] = {}

    async def of(self, http: "Http", wanted: Iterable[str | None]) -> Mapping[str, Image]:
        """Return images by id; of very many new ones, some only at the next reading."""
        ids = {one for one in wanted if one and _ID.fullmatch(one)}
        self._known = {key: value for key, value in self._known.items() if key in ids}
        for key in sorted(ids - self._known.keys())[:_ASKED_AT_ONCE]:
            self._known[key] = await self._ask(http, key)
        return self._known

    async def _ask(self, http: "Http", key: str) -> Image:
        image = None
        try:
            image = await http.get(self.target.format(id=key), Image)
            told = image_history.steps(image.history or ())
            image = structs.replace(image, history=None, steps=told)
            if self.history is None:
                return image
            target = self.history.format(id=key)
            listed = await http.get_list(target, image_history.DockerStep)
            return structs.replace(image, steps=image_history.docker_steps(listed))
        except Refused as error:
            if error.status != 404:
                raise
            return image or Image()  # removed by force from below its containers


def _repository(name: str) -> str:
    """Return a reference without its tag and digest."""
    plain = name.partition("@")[0]
    head, _, last = plain.rpartition("/")
    last = last.partition(":")[0]
    return f"{head}/{last}" if head else last
