"""Errors of registrar clients with the framework's texts."""

import contextlib
from collections.abc import Iterator

from ...errors import CannotEncode
from ...model.ergo import error_values
from ..api.errors import RegistrarError
from ..connection.dial_errors import cause_of


@contextlib.contextmanager
def registrar_errors() -> Iterator[None]:
    """Raises RegistrarError with the framework's text for errors of sockets, TLS and encoding (ESRD-CL-2)."""
    try:
        yield
    except (OSError, EOFError) as error:  # one of TLS is a ValueError, too
        raise RegistrarError(cause_of(error)) from None
    except (CannotEncode, ValueError):  # a name that is too long for a packet, or that can't be a host
        raise RegistrarError(error_values.INCORRECT.text) from None
