"""Area: what the rows of one family have in common, so that a row says only what is its own."""

from typing import Any

from attrs import frozen

from ..endpoint import Endpoint
from ..families import FAMILIES
from ..family import Medium

_DOCS = "https://docs.modelslab.com/"


@frozen(kw_only=True)
class EndpointGroup:
    """
    The endpoints of one family.

    Args:
        family: The first half of their names.
        root: The URL template that their paths stand below.
        docs: The folder of the documents that their pages are in.
        output: What most of them make, where that is less than the whole family.
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
        **overrides: Any,
    ) -> Endpoint:
        """
        One endpoint.

        Args:
            name: The second half of its name.
            required: The names of its required parameters.
            optional: The names of the others, beside those of `told`.
            at: Its path below the root, where that is not its name.
            told: The parameters that say who is told when the work is over.
            page: Its document in the folder, or below the root of all documents (`/`).
            resolved_by: The family of its tickets, where that is not its own.
            more: What else an Endpoint takes.
        """
        path = name if subpath is None else subpath
        family = FAMILIES[resolved_by or self.family]
        rest: dict[str, Any] = {
            "tier": family.tier,
            "output": self.output or family.output,
            **overrides,
        }
        return Endpoint(
            name=f"{self.family}/{name}",
            url=f"{self.root}/{path}".rstrip("/"),
            resolved_by=family.name,
            required=tuple(required.split()),
            optional=(*optional.split(), *callback_params.split()),
            doc=self._document(page) or family.doc,
            **rest,
        )

    def _document(self, page: str) -> str:
        if not page:
            return ""
        return _DOCS + (page[1:] if page.startswith("/") else f"{self.docs}/{page}")
