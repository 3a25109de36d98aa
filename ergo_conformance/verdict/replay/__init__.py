"""Replay of captures: the reference node takes the place of a recorded node, the other side's bytes come from the capture.

The node has to write what the real node wrote: the same frames on the same sockets, except for ids that each run chooses anew.
"""

from .deviations import CONNECTION_DEVIATIONS
from .result import ReplayResult
from .run import KNOWN_DEVIATIONS, replay, replayable_directions
from .saturn.deviations import SATURN_DEVIATIONS

__all__ = [
    "CONNECTION_DEVIATIONS",
    "KNOWN_DEVIATIONS",
    "SATURN_DEVIATIONS",
    "ReplayResult",
    "replay",
    "replayable_directions",
]
