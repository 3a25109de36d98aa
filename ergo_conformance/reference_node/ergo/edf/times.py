"""Binary form of Go's time.Time, which EDF sends after a length byte."""

from struct import Struct

from ....model.ergo.edf import MAX_NANOS, TIME_EPOCH, TIME_LENGTHS, TIME_UTC, TIME_V1, TIME_V2
from ....model.values import Time

_V1 = Struct(">BqIh")  # version, seconds since the year 1, nanoseconds, minutes east of UTC
_SECONDS = Struct(">b")  # seconds part of the zone offset
_MIN_SECONDS = -(2**63)


def read_time(data: bytes) -> Time:
    """Reads the time from 15 or 16 bytes (without length byte). ValueError with the reason if they are invalid."""
    if not data:
        raise ValueError("no data")
    if data[0] not in TIME_LENGTHS:
        raise ValueError("unsupported version")
    if len(data) != TIME_LENGTHS[data[0]]:
        raise ValueError("invalid length")
    version, seconds, nanos, minutes = _V1.unpack_from(data)
    if nanos > MAX_NANOS:
        raise ValueError("nanoseconds out of range")
    seconds -= TIME_EPOCH
    if seconds < _MIN_SECONDS:
        raise ValueError("instant out of range")
    offset = minutes * 60
    if version == TIME_V2:
        offset += _SECONDS.unpack_from(data, TIME_LENGTHS[TIME_V1])[0]
    return Time(seconds, nanos, None if offset == TIME_UTC * 60 else offset)


def write_time(time: Time) -> bytes:
    """Returns length byte and binary form. ValueError if the time is out of range."""
    minutes, seconds = TIME_UTC, 0
    if time.offset is not None:
        minutes = int(time.offset / 60)  # rounded towards zero, as in Go; the seconds keep the sign
        seconds = time.offset - minutes * 60
        if minutes == TIME_UTC or not -(1 << 15) <= minutes < 1 << 15:
            raise ValueError("zone offset has no binary form")
    if not 0 <= time.nanos <= MAX_NANOS:
        raise ValueError("nanoseconds out of range")
    if not _MIN_SECONDS <= time.seconds + TIME_EPOCH <= 2**63 - 1:
        raise ValueError("instant out of range")
    version = TIME_V2 if seconds else TIME_V1
    body = _V1.pack(version, time.seconds + TIME_EPOCH, time.nanos, minutes)
    if seconds:
        body += _SECONDS.pack(seconds)
    return bytes([len(body)]) + body
