"""Creates the target that the options name."""

from importlib import import_module

from ..errors import UsageError, suggestion
from .base import Target
from .kinds import KINDS, RESTRICTED, TargetKind, forms
from .options import TargetOptions


def target_of(options: TargetOptions) -> Target:
    """The target that the options name. UsageError, one sentence, if they are not valid."""
    text = options.target
    for prefix, kind in KINDS.items():
        if text == prefix or (prefix.endswith((":", "/")) and text.startswith(prefix)):
            _check_supported(prefix, kind, options)
            target: Target = import_module(f".{kind.module}", __package__).create(options)
            return target
    close = suggestion(text, tuple(KINDS))
    raise UsageError(f"{text!r} is not a valid target{close if '?' in close else ''} (supported: {forms()})")


def _check_supported(prefix: str, kind: TargetKind, options: TargetOptions) -> None:
    for name in RESTRICTED:
        if getattr(options, name) not in (None, False) and name not in kind.accepts:
            able = ", ".join(other for other, row in KINDS.items() if name in row.accepts)
            raise UsageError(f"--{name.replace('_', '-')} is not supported by {prefix} targets (supported by: {able})")
