"""Deadlines and bounds of ENP."""

from typing import Final

# --- deadlines, seconds -----------------------------------------------------------------------------------------------
REQUEST_TIMEOUT: Final = 5.0
"""Default time to wait for a Response, an acknowledgement or a Result."""
STALL_TIMEOUT: Final = 30.0
"""Own rule: a socket with queued bytes whose peer reads none of them for this long is closed."""

# --- bytes ------------------------------------------------------------------------------------------------------------
MAX_NAME: Final = 0xFF
"""Bytes of a name in a frame."""
MAX_QUEUED: Final = 64 * 1024 * 1024
"""Own rule: bytes that may be queued on one socket for a slow peer, not counting the longest frame among them; a socket
with more is closed before it takes a further frame."""
MAX_UNLIMITED: Final = 1 << 30
"""Own rule: bytes of a frame, as received or unpacked, where no limit is configured. No memory is reserved in advance."""
