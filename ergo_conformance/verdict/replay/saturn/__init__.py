"""Replay of captures of Saturn in the role of the client."""
