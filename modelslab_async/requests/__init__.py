"""One typed function for each endpoint. It builds a `Submission`, but does not send it."""

from .family_and_endpoint_names import EndpointName, FamilyName
from .typed_submission import FileOrLink

__all__ = ["EndpointName", "FamilyName", "FileOrLink"]
