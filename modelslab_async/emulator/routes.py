"""Routes: what a path asks for. A table made once from the registry; looking up costs two dicts."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import field, frozen

from modelslab_async._registry.endpoint import Endpoint
from modelslab_async._registry.family import Family

from .served_endpoints import SUBMITTED_ALSO_AT, served_by

_PLACE = re.compile(r"\{(\w+)\}")
_SLASHES = re.compile("/{2,}")

# The official clients fetch this family below `images`; the documents do not.
_ALSO_AT: Mapping[str, str] = {"enterprise_text_to_image": "v1/enterprise/images/fetch"}

MEDIA = "media"


@frozen(kw_only=True)
class Shelf:
    """
    Where the jobs of one fetch URL are kept. Families that share the URL share the shelf.

    Args:
        path: The path of the URL, without its ids where they stand at the end.
        families: The families that share it.
        names: Their names.
    """

    path: str
    families: tuple[Family, ...]
    names: frozenset[str]

    @property
    def family(self) -> Family:
        """The family that speaks for the shelf."""
        return self.families[0]


@frozen
class Fetch:
    """A fetch: the shelf, and the id if it stands in the path."""

    shelf: Shelf
    id: str | None


@frozen
class Submit:
    """A submit: the endpoint, its path, and what of its parameters stands in there."""

    endpoint: Endpoint
    path: str
    places: Mapping[str, str] = field(factory=dict, hash=False)


@frozen
class File:
    """A result's file, by the rest of its path."""

    path: str


@frozen
class Ask:
    """A question that is answered at once, or an upload."""

    endpoint: Endpoint


Route = Fetch | Submit | File | Ask


def below_root(path: str) -> str:
    """The path without the root of the API, its outer slashes and doubled ones."""
    bare = path.strip("/")
    if "//" in bare:
        # Recorded: the old documents of one family double a slash.
        bare = _SLASHES.sub("/", bare)
    return bare.removeprefix("api/")


def _path_of(url: str) -> str:
    path = url.replace("{base}", "").replace("{legacy}", "")
    return below_root(urlsplit(path).path)


class Routes:
    """
    The paths of some families.

    Args:
        families: The registry, or a part of it.
        endpoints: The table of endpoints, or a part of it.
    """

    def __init__(self, families: Mapping[str, Family], endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self._runs: list[tuple[re.Pattern[str], Endpoint]] = []
        for endpoint in served_by(families, endpoints):
            self._open(endpoint)
        self.shelves: dict[str, Shelf] = {}
        self._by_path: dict[str, Shelf] = {}
        self._by_pattern: list[tuple[re.Pattern[str], Shelf]] = []
        shared: dict[str, list[Family]] = {}
        for family in families.values():
            shared.setdefault(_path_of(family.url), []).append(family)
        for path, group in shared.items():
            names = frozenset(family.name for family in group)
            stem = path.removesuffix("/{id}")
            self._add(path, Shelf(path=stem, families=tuple(group), names=names))

    def _open(self, endpoint: Endpoint) -> None:
        path = _path_of(endpoint.url)
        if endpoint.places:
            self._runs.append((re.compile(_PLACE.sub(r"(?P<\1>[^/]+)", path)), endpoint))
            return
        self.endpoints[path] = endpoint
        if endpoint.name in SUBMITTED_ALSO_AT:
            self.endpoints[_path_of(SUBMITTED_ALSO_AT[endpoint.name])] = endpoint

    def _add(self, path: str, shelf: Shelf) -> None:
        self.shelves |= dict.fromkeys(shelf.names, shelf)
        if "{" in shelf.path:
            pattern = _PLACE.sub(r"([^/]+)", path)
            self._by_pattern.append((re.compile(pattern), shelf))
        else:
            self._by_path[shelf.path] = shelf
        for name in shelf.names & _ALSO_AT.keys():
            self._by_path[_ALSO_AT[name]] = shelf

    def find(self, path: str) -> Route | None:
        """What a request's path asks for; None: nothing is there."""
        bare = below_root(path)
        head, _, last = bare.rpartition("/")
        shelf = self._by_path.get(head)
        if shelf is not None:
            return Fetch(shelf, last)
        shelf = self._by_path.get(bare)
        if shelf is not None:
            return Fetch(shelf, None)
        endpoint = self.endpoints.get(bare)
        if endpoint is not None:
            return Submit(endpoint, bare) if endpoint.resolved_by else Ask(endpoint)
        return self._rare(bare)

    def _rare(self, bare: str) -> Route | None:
        if bare.startswith(f"{MEDIA}/"):
            return File(bare.removeprefix(f"{MEDIA}/"))
        for pattern, endpoint in self._runs:
            run = pattern.fullmatch(bare)
            if run:
                return Submit(endpoint, bare, run.groupdict())
        for pattern, shelf in self._by_pattern:
            ids = pattern.fullmatch(bare)
            if ids:
                return Fetch(shelf, "/".join(ids.groups()))
        return None
