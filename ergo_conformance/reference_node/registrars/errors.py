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
    except (CannotEncode, UnicodeError):  # a name that is too long for a packet or for a host name
        raise RegistrarError(error_values.INCORRECT.text) from None
    except (OSError, EOFError) as error:
        raise RegistrarError(cause_of(error)) from None
