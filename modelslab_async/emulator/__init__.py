"""The emulator: an ASGI stand-in for the service. It knows the registry and no client."""

from . import extra as extra
from .app import Emulator
from .courier import Delivery
from .fault_serving import Traffic, faulty
from .faults import Faults
from .intake import Submitted
from .jobs import Jobs
from .ledger import Scripted
from .links import Links
from .serving import running, serve
from .webhooks import Webhooks

__all__ = [
    "Delivery",
    "Emulator",
    "Faults",
    "Jobs",
    "Links",
    "Scripted",
    "Submitted",
    "Traffic",
    "Webhooks",
    "faulty",
    "running",
    "serve",
]

for _name in __all__:
    globals()[_name].__module__ = __name__
