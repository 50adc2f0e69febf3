"""SizeLimit: the maximum number of bytes of one output."""

from attrs import frozen

from .._models.download_errors import FileTooLarge


@frozen
class SizeLimit:
    """
    The maximum number of bytes of one output, and the error if an output has more.

    Args:
        max_bytes: The maximum that the caller gave.
        earlier_bytes: The total size of the earlier outputs, if `max_bytes` limits all outputs
            together. 0 if `max_bytes` limits each output by itself.
    """

    max_bytes: int
    earlier_bytes: int = 0

    def allows(self, size: int) -> bool:
        """Return whether an output may have this many bytes."""
        return self.earlier_bytes + size <= self.max_bytes

    def error(self, found: str, url: str = "") -> FileTooLarge:
        """
        Return the error for an output that is too large.

        Args:
            found: The first part of the message, such as "the file has 10 bytes".
            url: The link without its query; "" if the reply itself contained the output.
        """
        allowed = f"and {self.max_bytes} are allowed"
        if self.earlier_bytes:
            allowed = f"the outputs before it have {self.earlier_bytes}, {allowed} for all together"
        return FileTooLarge(f"{found}, {allowed}", url=url, argument="max_bytes")
