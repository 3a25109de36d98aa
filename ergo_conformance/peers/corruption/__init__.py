"""Corrupted frames and packets, computed from the schemas."""
