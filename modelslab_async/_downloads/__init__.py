"""Downloads: outputs to files. They travel without a key."""

from .delivery import Delivery, Saved, Unsaved
from .manager import Downloads, download
from .verify import Verified, verify

__all__ = ["Delivery", "Downloads", "Saved", "Unsaved", "Verified", "download", "verify"]
