"""Downloads: outputs to files. They travel without a key."""

from .manager import Downloads, download
from .save_result import Saved, SaveResult, Unsaved
from .verify import Verified, verify

__all__ = ["Downloads", "SaveResult", "Saved", "Unsaved", "Verified", "download", "verify"]
