"""Downloads: outputs to files. They travel without a key."""

from .deliveries import Delivery, Saved, Unsaved
from .downloads import Downloads, download
from .verifying import Verified, verify

__all__ = ["Delivery", "Downloads", "Saved", "Unsaved", "Verified", "download", "verify"]
