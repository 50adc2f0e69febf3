"""One typed function for each endpoint. A function builds a `Submission`, and sends nothing."""

from .known_names import EndpointName, FamilyName
from .typed_submission import FileOrLink

__all__ = ["EndpointName", "FamilyName", "FileOrLink"]
