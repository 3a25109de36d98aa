"""Texts of failed dials and failed registrations, as the framework has them (NAPI-CON-4, ESRD-CL-2)."""

import os
import re
import socket
import ssl

from ..api.errors import ClosedError, SilentError


def cause_of(error: Exception) -> str:
    """Returns the framework's text for a failed dial."""
    match error:
        case ClosedError() | EOFError():
            return "EOF"
        case ssl.SSLCertVerificationError():
            return f"x509: {error.verify_message}"
        case ssl.SSLError():  # its errno is a number of OpenSSL's
            return f"tls: {error.reason or error}".lower()
        case TimeoutError() | SilentError():
            return "i/o timeout"
        case socket.gaierror():
            return "no such host"
        case ConnectionResetError(errno=None):  # during a TLS handshake
            return "EOF"
        case OSError():
            number = error.errno or _last_number(str(error))
            return (os.strerror(number) if number else describe(error)).lower()
    return str(error)


def _last_number(text: str) -> int | None:
    """Returns the errno of the last of several failures: asyncio tries all addresses of a host and joins their texts."""
    found = re.findall(r"\[Errno (\d+)\]", text)
    return int(found[-1]) if found else None


def describe(error: Exception) -> str:
    """Returns a short description of an error for logs."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
