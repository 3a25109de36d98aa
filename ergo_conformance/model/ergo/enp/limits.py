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
"""Own rule: bytes of a frame where no limit is configured. No memory is reserved in advance."""
MAX_UNPACKED: Final = 16 * 1024 * 1024
MAX_UNPACKED_RATIO: Final = 64


def max_unpacked(stream: int) -> int:
    """Own rule: bytes that a compressed stream of this length may unpack to where no limit is configured.

    MAX_UNPACKED, or MAX_UNPACKED_RATIO times the stream if that is more: what a peer can make us hold is in proportion to what
    it sends. Zeros are compressed a thousand times.
    """
    return min(MAX_UNLIMITED, max(MAX_UNPACKED, MAX_UNPACKED_RATIO * stream))
