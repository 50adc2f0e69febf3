"""
Small breaks of the package, one module for each folder that they break.

`mutate.py` applies them one by one. Nothing here changes a file.
"""

from . import batch, http11, parsing, polling, scheduling, submitting, telemetry, transport
from .mutation import Mutation

MUTATIONS: list[Mutation] = [
    *http11.MUTATIONS,
    *transport.MUTATIONS,
    *parsing.MUTATIONS,
    *scheduling.MUTATIONS,
    *polling.MUTATIONS,
    *submitting.MUTATIONS,
    *telemetry.MUTATIONS,
    *batch.MUTATIONS,
]
