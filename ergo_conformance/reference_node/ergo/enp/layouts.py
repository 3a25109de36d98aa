"""Layouts of the ENP frames, one row per frame type. Readers and writers of frames are generated from them.

A row lists the fields after the header in wire order, each as `field:code`. Codes: B, Q, q, I as in `struct`; W three Q;
N a name with a length of one byte; C the id of a cached name; and as last field one of V an EDF value, E an EDF error,
M a control message, O an outcome (a code, and an EDF error after code 255), S all remaining bytes.
"""

from collections.abc import Mapping
from typing import Final

from ....model.ergo.enp import FrameType

_MESSAGE: Final = "from_id:Q priority:B mid:Q"
_REQUEST: Final = "from_id:Q priority:B ref:W"
_EVENT: Final = "from_id:Q priority:B timestamp:q"
_ROWS: Final[Mapping[FrameType, str]] = {
    FrameType.MESSAGE_PID: f"{_MESSAGE} to_id:Q payload:V",
    FrameType.MESSAGE_NAME: f"{_MESSAGE} to_name:N payload:V",
    FrameType.MESSAGE_NAME_CACHE: f"{_MESSAGE} to_name:C payload:V",
    FrameType.MESSAGE_ALIAS: f"{_MESSAGE} to_alias:W payload:V",
    FrameType.EVENT: f"{_EVENT} name:N payload:V",
    FrameType.EVENT_CACHE: f"{_EVENT} name:C payload:V",
    FrameType.EXIT: "from_id:Q priority:B to_id:Q reason:E",
    FrameType.REQUEST_PID: f"{_REQUEST} to_id:Q payload:V",
    FrameType.REQUEST_NAME: f"{_REQUEST} to_name:N payload:V",
    FrameType.REQUEST_NAME_CACHE: f"{_REQUEST} to_name:C payload:V",
    FrameType.REQUEST_ALIAS: f"{_REQUEST} to_alias:W payload:V",
    FrameType.RESPONSE: "from_id:Q priority:B to_id:Q ref:W payload:V",
    FrameType.RESPONSE_ERROR: "from_id:Q priority:B to_id:Q ref:W outcome:O",
    FrameType.TERMINATE_PID: "priority:B id:Q reason:E",
    FrameType.TERMINATE_NAME: "priority:B name:N reason:E",
    FrameType.TERMINATE_NAME_CACHE: "priority:B name:C reason:E",
    FrameType.TERMINATE_ALIAS: "priority:B alias:W reason:E",
    FrameType.TERMINATE_EVENT: "priority:B name:N reason:E",
    FrameType.TERMINATE_EVENT_CACHE: "priority:B name:C reason:E",
    FrameType.CONTROL: "message:M",
    FrameType.COMPRESSED: "algorithm:B length:I stream:S",
}
LAYOUTS: Final[Mapping[FrameType, tuple[tuple[str, str], ...]]] = {
    type_: tuple((field[:-2], field[-1]) for field in row.split()) for type_, row in _ROWS.items()
}
"""Fields and their layout codes, by frame type."""

FIXED_WIDTH_CODES: Final[Mapping[str, str]] = {"B": "B", "Q": "Q", "q": "q", "I": "I", "W": "QQQ", "C": "H"}
"""Layout codes of fixed width → codes of `struct`."""
