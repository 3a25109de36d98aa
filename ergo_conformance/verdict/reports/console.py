"""Console of the verbs that print to stdout."""

import os

from rich.console import Console


def make_console() -> Console:
    """A console for stdout. If that is not a terminal, lines have COLUMNS characters, by default 120."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    return console
