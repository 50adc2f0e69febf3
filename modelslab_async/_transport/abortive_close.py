"""Sets a socket option that makes the kernel discard unsent data when the socket is closed."""

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
    Make this socket reset the connection when it is closed.

    Without a reset, the kernel keeps trying to send a cancelled request after the close. Linux
    tries for about 100 seconds if the network is down. So the server could get the request long
    after its deadline.

    Args:
        sock: The socket of the connection; None if the asyncio transport does not expose one.
    """
    if sock is not None:
        # If the socket is closed already, asyncio raises an `OSError`, and uvloop a `ValueError`.
        with suppress(OSError, ValueError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
