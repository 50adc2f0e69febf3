"""Errors of submits that were given up or never sent. `errors` shows the tree of all errors."""

from .errors import ModelsLabError


class SubmitTimeout(ModelsLabError, TimeoutError):
    """
    The caller's timeout passed before the submit started work.

    Nothing was charged, so it is safe to submit again.

    Attributes:
        endpoint: The endpoint of the submit.
        stage: What the submit was doing: reading its files (`files`), waiting for a slot (`slot`),
            uploading (`upload`), or connecting to the server (`send`).
    """

    def __init__(self, message: str = "", *, endpoint: str = "", stage: str = "") -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.stage = stage


class SubmitLimitReached(ModelsLabError):
    """
    The client has made as many submits as `Client(max_submits=...)` allows. Nothing was sent.

    Attributes:
        limit: The maximum number of submits of this client.
        made: The number of submits that started work, or may have started it.
    """

    advice = "raise max_submits, or make another client, if you mean to pay for more"

    def __init__(self, message: str = "", *, limit: int = 0, made: int = 0) -> None:
        super().__init__(message)
        self.limit = limit
        self.made = made
