"""Errors of an account that several processes share. No ticket is lost because of such an error."""

from .errors import ModelsLabError


class AccountError(ModelsLabError):
    """
    The shared account cannot be used.

    Attributes:
        path: The file of the shared account. If it is in PostgreSQL, the hosts and the database.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class WrongAccount(AccountError):
    """The file or schema holds no shared account of this version. It was not changed."""
