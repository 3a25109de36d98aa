"""EDF codec of the reference node: one generated reader and writer per type, and a slow reader and writer for errors."""

from .codec import Decoder, Encoder

__all__ = ["Decoder", "Encoder"]
