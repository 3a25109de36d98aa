"""The normative reading: how every byte looks, as construct schemas. Nothing else in the package imports construct."""

from .parse import Parsed, Span, build, parse

__all__ = ["Parsed", "Span", "build", "parse"]
