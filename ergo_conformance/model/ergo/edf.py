"""EDF, the Ergo Data Format: tags and limits (net/edf/edf.go and net/edf/register.go, 3.1)."""

from enum import IntEnum
from typing import Final


class Tag(IntEnum):
    """First byte of a value's descriptor; SLICE, MAP and REG also mark a container that is not nil."""

    FOLDED = 0x82  # u16 length and a folded type follow
    REG = 0x83  # u16 length of a name, or id of a name in the sender's type cache
    ANY = 0x84

    ATOM = 0x8C
    STRING = 0x8D
    BINARY = 0x8E
    FLOAT32 = 0x8F
    FLOAT64 = 0x90
    BOOL = 0x91
    INT8 = 0x92
    INT16 = 0x93
    INT32 = 0x94
    INT64 = 0x95
    INT = 0x96
    UINT8 = 0x97
    UINT16 = 0x98
    UINT32 = 0x99
    UINT64 = 0x9A
    UINT = 0x9B
    ERROR = 0x9C

    SLICE = 0x9D
    ARRAY = 0x9E
    MAP = 0x9F

    PID = 0xAA
    PROCESS_ID = 0xAB
    ALIAS = 0xAC
    EVENT = 0xAD
    REF = 0xAE
    TIME = 0xAF

    NIL = 0xFF


SCALAR_TAGS: Final = (
    Tag.ATOM, Tag.STRING, Tag.BINARY, Tag.FLOAT32, Tag.FLOAT64, Tag.BOOL,
    Tag.INT8, Tag.INT16, Tag.INT32, Tag.INT64, Tag.INT,
    Tag.UINT8, Tag.UINT16, Tag.UINT32, Tag.UINT64, Tag.UINT,
    Tag.ERROR, Tag.PID, Tag.PROCESS_ID, Tag.ALIAS, Tag.EVENT, Tag.REF, Tag.TIME,
)  # fmt: skip
CONSTRUCTOR_TAGS: Final = (Tag.SLICE, Tag.ARRAY, Tag.MAP)

# --- lengths and ids that share one u16 -------------------------------------------------------------------------------
MAX_STRING: Final = 0xFFFF  # bytes
MAX_ATOM: Final = 0xFF  # bytes; a larger number is a cache id
MAX_TYPE_NAME: Final = 0x0FFF  # bytes; a larger number is a cache id
MAX_ERROR: Final = 0x7FFF  # bytes; a larger number is a cache id
NIL_ERROR: Final = 0xFFFF  # instead of the length or id of an error
MAX_FOLDED: Final = 0xFFFF  # bytes of a folded type

FIRST_ATOM_ID: Final = MAX_ATOM + 1
FIRST_TYPE_ID: Final = MAX_TYPE_NAME + 1
LAST_TYPE_ID: Final = 0xFFFF
FIRST_ERROR_ID: Final = MAX_ERROR + 1
LAST_ERROR_ID: Final = NIL_ERROR - 1

# --- bounds of a reader (own rules: the format has no limit) ----------------------------------------------------------
MAX_DEPTH: Final = 1024
"""Limit of two separate counts: open `any` slots, and slice/array/map constructors on one path inside one folded type."""
MAX_EMPTY_ITEMS: Final = 4096
"""Items without bytes ([n]struct{} and similar) in one value: the size of the input does not limit them."""

MAX_ARRAYS_PER_BYTE: Final = 2
"""Arrays inside arrays in one value, per byte of input and in addition to MAX_EMPTY_ITEMS: an array adds no byte, so that a
value of one byte may be nested in a thousand arrays."""

# --- time: the binary form of Go's time.Time --------------------------------------------------------------------------
TIME_V1: Final = 1  # 15 bytes, offset in minutes
TIME_V2: Final = 2  # 16 bytes, one more for the seconds of the offset
TIME_LENGTHS: Final = {TIME_V1: 15, TIME_V2: 16}
TIME_EPOCH: Final = 62_135_596_800  # seconds from 0001-01-01 to 1970-01-01, UTC
TIME_UTC: Final = -1  # offset in minutes that means UTC
MAX_NANOS: Final = 999_999_999

# --- names ------------------------------------------------------------------------------------------------------------
FRAMEWORK: Final = "#ergo.services/ergo/"
"""Prefix of the framework's registered names. A name is `#`, the Go package path, `/` and the Go type name."""
