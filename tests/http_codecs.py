"""The default transport over a codec of the test's choice, so that tests can run over each."""

from functools import partial

from modelslab_async._transport.http11.h11_codec import H11Codec
from modelslab_async._transport.http11.httptools_codec import HttptoolsCodec
from modelslab_async._transport.http11.transport import HTTP11Transport

CODECS = {"h11": H11Codec, "httptools": HttptoolsCodec}


def http11(codec, connections=4):
    return HTTP11Transport(connections=connections, make_codec=CODECS[codec])


HTTP11_TRANSPORTS = {codec: partial(http11, codec) for codec in CODECS}
