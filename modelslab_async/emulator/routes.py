"""Routes: maps a request's path to a family, an endpoint or a file."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import field, frozen

from modelslab_async._registry.endpoint import Endpoint
from modelslab_async._registry.family import Family

from .served_endpoints import SECOND_SUBMIT_PATHS, endpoints_of

_PATH_PARAM = re.compile(r"\{(\w+)\}")
_SLASHES = re.compile("/{2,}")

# The paths that the official clients poll instead of the documented ones, keyed by family name.
_SECOND_FETCH_PATHS: Mapping[str, str] = {"enterprise_text_to_image": "v1/enterprise/images/fetch"}

MEDIA_PATH = "media"


@frozen(kw_only=True)
class FamilyGroup:
    """
    The families that are polled at the same URL. An id means the same job in all of them.

    Args:
        path: The path of the URL, without the id at its end.
        families: The families that are polled at this URL.
        family_names: The names of these families.
    """

    path: str
    families: tuple[Family, ...]
    family_names: frozenset[str]

    @property
    def family(self) -> Family:
        """
        Return the first family, which represents the whole group.

        All families of a group are polled with the same HTTP method, and their replies report the
        status in the same way.
        """
        return self.families[0]


@frozen
class FetchRoute:
    """
    A request to poll a job.

    Its path tells which families the job may belong to. In some families, the path ends with the
    job's id. In the other families, the id is in the body, and `id` is None.
    """

    family_group: FamilyGroup
    id: str | None


@frozen
class SubmitRoute:
    """A request to start a job. Its path names the endpoint, and may contain parameters."""

    endpoint: Endpoint
    path: str
    path_params: Mapping[str, str] = field(factory=dict[str, str], hash=False)


@frozen
class FileRoute:
    """A request for a file. `path` is the path of the file below `media/`."""

    path: str


@frozen
class UtilityRoute:
    """A request that makes no ticket, such as an upload or a request for account data."""

    endpoint: Endpoint
    path_params: Mapping[str, str] = field(factory=dict[str, str], hash=False)


Route = FetchRoute | SubmitRoute | FileRoute | UtilityRoute


def normalize_path(path: str) -> str:
    """Remove the prefix `api/` and outer slashes from a path, and merge doubled slashes."""
    normalized = path.strip("/")
    if "//" in normalized:
        # The old documentation of one family contains a URL with a doubled slash.
        normalized = _SLASHES.sub("/", normalized)
    # Some clients add `api/` to a base URL that already ends with `api/`.
    return normalized.removeprefix("api/").removeprefix("api/")


def _path_of(url: str) -> str:
    path = url.replace("{base}", "").replace("{legacy}", "")
    return normalize_path(urlsplit(path).path)


class Routes:
    """
    All paths that the emulator serves. Most paths are found with at most three dictionary lookups.

    Args:
        families: The registry, or a part of it.
        endpoints: The table of endpoints, or a part of it.
    """

    def __init__(self, families: Mapping[str, Family], endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self._submit_patterns: list[tuple[re.Pattern[str], Endpoint]] = []
        for endpoint in endpoints_of(families, endpoints):
            self._add_endpoint(endpoint)
        self.family_groups: dict[str, FamilyGroup] = {}
        self._fetch_paths: dict[str, FamilyGroup] = {}
        self._fetch_patterns: list[tuple[re.Pattern[str], FamilyGroup]] = []
        shared: dict[str, list[Family]] = {}
        for family in families.values():
            shared.setdefault(_path_of(family.url), []).append(family)
        for path, group in shared.items():
            family_names = frozenset(family.name for family in group)
            stem = path.removesuffix("/{id}")
            self._add_family_group(
                path, FamilyGroup(path=stem, families=tuple(group), family_names=family_names)
            )

    def _add_endpoint(self, endpoint: Endpoint) -> None:
        path = _path_of(endpoint.url)
        if endpoint.path_params:
            self._submit_patterns.append(
                (re.compile(_PATH_PARAM.sub(r"(?P<\1>[^/]+)", path)), endpoint)
            )
            return
        self.endpoints[path] = endpoint
        if endpoint.name in SECOND_SUBMIT_PATHS:
            self.endpoints[_path_of(SECOND_SUBMIT_PATHS[endpoint.name])] = endpoint

    def _add_family_group(self, path: str, family_group: FamilyGroup) -> None:
        self.family_groups |= dict.fromkeys(family_group.family_names, family_group)
        if "{" in family_group.path:
            pattern = _PATH_PARAM.sub(r"([^/]+)", path)
            self._fetch_patterns.append((re.compile(pattern), family_group))
        else:
            self._fetch_paths[family_group.path] = family_group
        for name in family_group.family_names & _SECOND_FETCH_PATHS.keys():
            self._fetch_paths[_SECOND_FETCH_PATHS[name]] = family_group

    def find(self, path: str) -> Route | None:
        """Return the route for a path, or None if the path is unknown."""
        normalized = normalize_path(path)
        head, _, last = normalized.rpartition("/")
        family_group = self._fetch_paths.get(head)
        if family_group is not None:
            return FetchRoute(family_group, last)
        family_group = self._fetch_paths.get(normalized)
        if family_group is not None:
            return FetchRoute(family_group, None)
        endpoint = self.endpoints.get(normalized)
        if endpoint is not None:
            return (
                SubmitRoute(endpoint, normalized)
                if endpoint.resolved_by
                else UtilityRoute(endpoint)
            )
        return self._find_by_pattern(normalized)

    def _find_by_pattern(self, normalized: str) -> Route | None:
        if normalized.startswith(f"{MEDIA_PATH}/"):
            return FileRoute(normalized.removeprefix(f"{MEDIA_PATH}/"))
        for pattern, endpoint in self._submit_patterns:
            matched = pattern.fullmatch(normalized)
            if matched and endpoint.resolved_by is None:
                return UtilityRoute(endpoint, matched.groupdict())
            if matched:
                return SubmitRoute(endpoint, normalized, matched.groupdict())
        for pattern, family_group in self._fetch_patterns:
            ids = pattern.fullmatch(normalized)
            if ids:
                return FetchRoute(family_group, "/".join(ids.groups()))
        return None
