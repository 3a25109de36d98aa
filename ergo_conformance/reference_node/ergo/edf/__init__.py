"""The node's own EDF codec: functions generated per type for speed, and slow readers and writers that explain a refusal."""

from .codec import Decoder, Encoder

__all__ = ["Decoder", "Encoder"]
