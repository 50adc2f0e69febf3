"""EndpointGroup: what the endpoints of one family share. Sends nothing."""

from typing import Any

from attrs import frozen

from ..endpoint import Endpoint
from ..families import FAMILIES, unverified_note
from ..family import Medium

_DOCS = "https://docs.modelslab.com/"

OFFICIAL_CLIENTS = "The official clients call it."
PUBLIC_CLIENTS = "Seen in public clients of the service."


@frozen(kw_only=True)
class EndpointGroup:
    """
    The endpoints of one family.

    Args:
        family: The family. Its name is the first half of each endpoint's name.
        root: The URL template that each endpoint's path is appended to.
        docs: The folder of the endpoints' documentation pages.
        output: The media that most of the endpoints make; empty for the media of the family.
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
            required: The names of the required parameters, separated by blanks.
            optional: The names of the optional parameters, without those of `callback_params`.
            subpath: The endpoint's path below the root, if it differs from `name`.
            callback_params: The names of the parameters that set up a webhook.
            page: The path of the documentation page, below `docs`; with a leading `/`, below the
                root of the documentation; or the whole URL of a page elsewhere.
            resolved_by: The family of the endpoint's tickets, if that is not the group's.
            unverified: For an endpoint that no page describes, a sentence about its source.
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
