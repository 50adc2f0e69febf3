"""Makes the kernel discard the unsent data of a connection when it is closed. It closes nothing."""

import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

# The value of `SO_LINGER`: on, for 0 seconds. It has two `u_short` on Windows, two `int` elsewhere.
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def discard_unsent_on_close(sock: Any) -> None:
    """
    Let a later close of this socket reset the connection.

    Otherwise the kernel goes on to send a request that was given up. If the network was
    interrupted, Linux tries for some 100 seconds, so the server could get the request long after
    its deadline.

    Args:
        sock: The socket of the connection; None if the transport does not tell it.
    """
    if sock is not None:
        # The connection may be closed already. uvloop then raises a `ValueError`.
        with suppress(OSError, ValueError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
