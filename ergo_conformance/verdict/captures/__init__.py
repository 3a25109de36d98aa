"""Captures of real nodes (`ergo-captures/1`): every message, frame and packet against both readers and both writers."""

from .check import check
from .load import FORMAT, Capture, load
from .reader import CaptureReader
from .result import CaptureResult, Counts

__all__ = ["FORMAT", "Capture", "CaptureReader", "CaptureResult", "Counts", "check", "load"]
