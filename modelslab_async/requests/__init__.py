"""A typed function for each endpoint. Each makes a `Submission`, and sends nothing."""

from .known_names import EndpointName, FamilyName
from .typed_submission import FileOrLink

__all__ = ["EndpointName", "FamilyName", "FileOrLink"]
