"""The emulator: an ASGI stand-in for the service. It knows the registry and no client."""

from . import missing_extra as missing_extra
from .app import Emulator
from .faults.fault_plan import Faults
from .faults.faulty_server import Traffic, faulty
from .file_links import Links
from .job_intake import Submitted
from .job_store import Scripted
from .jobs import Jobs
from .server import running, serve
from .webhook_sender import Delivery
from .webhook_settings import Webhooks

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
