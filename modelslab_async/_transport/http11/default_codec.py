"""Chooses the default codec: httptools if it is installed, else h11."""

from .codec import CodecFactory

DefaultCodec: CodecFactory
try:
    from .httptools_codec import HttptoolsCodec

    DefaultCodec = HttptoolsCodec
except ModuleNotFoundError:
    from .h11_codec import H11Codec

    DefaultCodec = H11Codec
