"""Errors of a shared account. They never mean that a ticket is lost."""

from .errors import ModelsLabError


class AccountError(ModelsLabError):
    """
    The shared account cannot be used.

    Attributes:
        path: The account's file, or the hosts and the database of its PostgreSQL server.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class WrongAccount(AccountError):
    """The file or schema holds no account, or one of another version. Nothing was changed."""
