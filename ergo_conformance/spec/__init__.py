"""The normative schemas: the meaning of every byte, in construct. No other part of the package imports construct."""

from .parse import Parsed, Span, build, parse

__all__ = ["Parsed", "Span", "build", "parse"]
