"""
Saves the outputs of finished generations as files.

It polls only for a new link, sends no key to a link and overwrites no file.
"""

from .manager import Downloads, download
from .save_result import Saved, SaveResult, Unsaved
from .verify import Verified, verify

__all__ = ["Downloads", "SaveResult", "Saved", "Unsaved", "Verified", "download", "verify"]
