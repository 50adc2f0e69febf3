"""SSLContextLoader: loads a client's TLS context."""

import asyncio
import ssl

import anyio.to_thread
import httpx


class SSLContextLoader:
    """
    Returns the caller's TLS context, or loads one that trusts the same certificates as httpx.

    httpx takes the certificates from `SSL_CERT_FILE`, from `SSL_CERT_DIR` or from certifi.

    Args:
        given: The caller's TLS context; None to load one.
    """

    def __init__(self, given: ssl.SSLContext | None = None) -> None:
        self._context = given
        self._load_lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """
        Return the TLS context.

        The first call loads the context in a thread, because loading takes about 20 ms.
        """
        async with self._load_lock:
            if self._context is None:
                self._context = await anyio.to_thread.run_sync(httpx.create_ssl_context)
            # Set the ALPN protocols for each connection, because an httpx client with the same
            # context may change them.
            self._context.set_alpn_protocols(["http/1.1"])
            return self._context
