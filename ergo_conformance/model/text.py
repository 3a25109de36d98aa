"""Text on the wire: UTF-8, with lone surrogates for bytes that are not UTF-8, so that any bytes survive a round trip.

And in logs and reports, where it can't pass for other lines or control a terminal.
"""


def text_to_bytes(text: str) -> bytes:
    """Returns the bytes of a text on the wire; a lone surrogate becomes the byte that it stands for."""
    return text.encode("utf-8", "surrogateescape")


def bytes_to_text(data: bytes) -> str:
    """Returns the text of bytes from the wire; a byte that is not UTF-8 becomes a lone surrogate."""
    return data.decode("utf-8", "surrogateescape")


def escape(text: str, keep: str = "") -> str:
    r"""Returns a text with escapes such as `\x1b` in place of line breaks, control codes and lone surrogates.

    `keep`: characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def is_utf_8(text: str) -> bool:
    """Tells whether a text has no lone surrogates, so that UTF-8 has it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
