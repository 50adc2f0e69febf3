"""Sets a socket option: when the socket is closed, the kernel discards its unsent data."""

import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

# The value of `SO_LINGER`: on, with a timeout of 0 seconds. The C struct has two fields of the type
# `u_short` on Windows, and of the type `int` elsewhere.
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def discard_unsent_on_close(sock: Any) -> None:
    """
    Make a later close of this socket reset the connection.

    Without a reset, the kernel still sends a cancelled request after the close. While the network
    is interrupted, Linux retries for about 100 seconds. So the server could get the request long
    after its deadline.

    Args:
        sock: The socket of the connection; None if the asyncio transport does not expose one.
    """
    if sock is not None:
        # If the socket is closed already, asyncio raises an `OSError`, and uvloop a `ValueError`.
        with suppress(OSError, ValueError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
