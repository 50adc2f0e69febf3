"""EndpointGroup: builds the endpoints of one family from their common settings."""

from typing import Any

from attrs import frozen

from ..endpoint import Endpoint
from ..families import FAMILIES, unverified_note
from ..family import Medium

_DOCS = "https://docs.modelslab.com/"

OFFICIAL_CLIENTS = "The official clients call this endpoint."
PUBLIC_CLIENTS = "Other public clients of the service call this endpoint."


@frozen(kw_only=True)
class EndpointGroup:
    """
    What the endpoints of one family have in common.

    Args:
        family: The name of the family, which is the first half of each endpoint's name.
        root: The start of each endpoint's URL template. The endpoint's path follows it.
        docs: The folder of the endpoints' documentation pages.
        output: The media that most of the endpoints make. Empty means the media of the family.
    """

    family: str
    root: str
    docs: str = ""
    output: tuple[Medium, ...] = ()

    def endpoint(
        self,
        name: str,
        required: str = "",
        optional: str = "",
        *,
        subpath: str | None = None,
        callback_params: str = "webhook track_id",
        page: str = "",
        resolved_by: str = "",
        unverified: str = "",
        **overrides: Any,
    ) -> Endpoint:
        """
        Make one endpoint of the group.

        Args:
            name: The part of the endpoint's name after the slash.
            required: The names of the required parameters, separated by spaces.
            optional: The names of the optional parameters, separated by spaces. Leave out those in
                `callback_params`.
            subpath: The endpoint's path below `root`, if it differs from `name`.
            callback_params: The names of the parameters that set up a webhook.
            page: The documentation page, as a path below `docs`. A path with a leading `/` starts
                at the root of the documentation. A complete URL is possible too.
            resolved_by: The family of the endpoint's tickets, if it is not the group's family.
            unverified: A sentence that says which clients use this endpoint, if no page documents
                it.
            **overrides: Other arguments of `Endpoint`.
        """
        path = name if subpath is None else subpath
        family = FAMILIES[resolved_by or self.family]
        rest: dict[str, Any] = {
            "tier": family.tier,
            "output": self.output or family.output,
            **({"note": unverified_note(unverified)} if unverified else {}),
            **overrides,
        }
        return Endpoint(
            name=f"{self.family}/{name}",
            url=f"{self.root}/{path}".rstrip("/"),
            resolved_by=family.name,
            required=tuple(required.split()),
            optional=(*optional.split(), *callback_params.split()),
            doc="" if unverified else self._document(page) or family.doc,
            **rest,
        )

    def _document(self, page: str) -> str:
        if not page or page.startswith("https:"):
            return page
        return _DOCS + (page[1:] if page.startswith("/") else f"{self.docs}/{page}")
