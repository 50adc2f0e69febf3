"""
The emulator: an ASGI application that answers like the service, for tests and demos.

It shares the models and the registry with the client, but no other code.
"""

from . import missing_extra as missing_extra
from .application import Emulator
from .faults.fault_plan import Faults
from .faults.faulty_server import Traffic, run_faulty_server
from .file_link_settings import FileLinks
from .job_intake import ReceivedSubmit
from .job_settings import Jobs
from .job_store import ScriptedReply
from .server import run_server, serve
from .webhook_sender import WebhookDelivery
from .webhook_settings import Webhooks

__all__ = [
    "Emulator",
    "Faults",
    "FileLinks",
    "Jobs",
    "ReceivedSubmit",
    "ScriptedReply",
    "Traffic",
    "WebhookDelivery",
    "Webhooks",
    "run_faulty_server",
    "run_server",
    "serve",
]

for _name in __all__:
    globals()[_name].__module__ = __name__
