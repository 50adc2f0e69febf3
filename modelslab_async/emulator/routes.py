"""Routes: what a path asks for. A table made once from the registry; looking up costs two dicts."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import frozen

from modelslab_async._core.families import Family

from .endpoints import Endpoint, endpoints_of

_PLACE = re.compile(r"\{(\w+)\}")
_RUN = re.compile(r"v1/workflows/([^/]+)/run")
_SLASHES = re.compile("/{2,}")

# The official clients fetch this family below `images`; the documents do not.
_ALSO_AT: Mapping[str, str] = {"enterprise_text_to_image": "v1/enterprise/images/fetch"}

MEDIA = "media"
REQUEST_COUNT = "v6/processing/request_count"


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
    """A submit: the endpoint, and the workflow that it starts if it starts one."""

    endpoint: Endpoint
    workflow: str = ""


@frozen
class File:
    """A result's file, by the rest of its path."""

    path: str


@frozen
class RequestCount:
    """The question how many jobs are unfinished."""


Route = Fetch | Submit | File | RequestCount


def below_root(path: str) -> str:
    """The path without the root of the API, its outer slashes and doubled ones."""
    bare = path.strip("/")
    if "//" in bare:
        # Recorded: the old documents of one family double a slash.
        bare = _SLASHES.sub("/", bare)
    return bare.removeprefix("api/")


def _fetch_path(family: Family) -> str:
    path = family.url.replace("{base}", "").replace("{legacy}", "")
    return below_root(urlsplit(path).path)


class Routes:
    """
    The paths of some families.

    Args:
        families: The registry, or a part of it.
    """

    def __init__(self, families: Mapping[str, Family]) -> None:
        self.endpoints = endpoints_of(families)
        self.shelves: dict[str, Shelf] = {}
        self._by_path: dict[str, Shelf] = {}
        self._by_pattern: list[tuple[re.Pattern[str], Shelf]] = []
        shared: dict[str, list[Family]] = {}
        for family in families.values():
            shared.setdefault(_fetch_path(family), []).append(family)
        for path, group in shared.items():
            names = frozenset(family.name for family in group)
            stem = path.removesuffix("/{id}")
            self._add(path, Shelf(path=stem, families=tuple(group), names=names))

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
            return Submit(endpoint)
        return self._rare(bare)

    def _rare(self, bare: str) -> Route | None:
        if bare.startswith(f"{MEDIA}/"):
            return File(bare.removeprefix(f"{MEDIA}/"))
        if bare == REQUEST_COUNT:
            return RequestCount()
        run = _RUN.fullmatch(bare)
        if run and "workflows" in self.shelves:
            endpoint = Endpoint(path=bare, family="workflows", work="workflows/run")
            return Submit(endpoint, run[1])
        for pattern, shelf in self._by_pattern:
            ids = pattern.fullmatch(bare)
            if ids:
                return Fetch(shelf, "/".join(ids.groups()))
        return None
