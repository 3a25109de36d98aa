"""Console of the verbs that print to stdout."""

import os
from typing import Final

from rich.console import Console

from ...output import replace_characters

MIN_WIDTH: Final = 40
"""Smallest width of a line in characters."""


def make_console() -> Console:
    """A console for stdout. If that is not a terminal, lines have COLUMNS characters, by default 120; at least MIN_WIDTH."""
    replace_characters()
    console = Console(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = 120
    console.width = max(console.width, MIN_WIDTH)
    return console
