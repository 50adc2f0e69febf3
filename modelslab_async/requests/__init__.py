"""A typed function for each endpoint. Each makes a `Submission`, and sends nothing."""

from .typed_submission import FileOrLink

__all__ = ["FileOrLink"]
