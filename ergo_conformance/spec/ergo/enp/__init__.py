"""ENP R1: frames behind the handshake (protocol documents: ENP-…)."""

from .compression import pack, unpack
from .frames import FRAME, frame_size, read_frame, read_inner, write_frame

__all__ = ["FRAME", "frame_size", "pack", "read_frame", "read_inner", "unpack", "write_frame"]
