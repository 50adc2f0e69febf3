"""The default transport over a codec of the test's choice, so that tests can run over each."""

from functools import partial

import pytest

from modelslab_async._transport.http11.h11_codec import H11Codec
from modelslab_async._transport.http11.transport import HTTP11Transport

CODECS = ("h11", "httptools")


def codec_class(name):
    if name == "h11":
        return H11Codec
    pytest.importorskip("httptools", reason="the extra [fast] is not installed")
    # Imported here because the extra may be missing.
    from modelslab_async._transport.http11.httptools_codec import (  # noqa: PLC0415
        HttptoolsCodec,
    )

    return HttptoolsCodec


def http11(codec, connections=4):
    return HTTP11Transport(connections=connections, make_codec=codec_class(codec))


HTTP11_TRANSPORTS = {codec: partial(http11, codec) for codec in CODECS}
