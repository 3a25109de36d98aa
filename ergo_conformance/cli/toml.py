"""TOML files with settings."""

import tomllib
from pathlib import Path
from typing import Any

from ..errors import UsageError


def read(path: Path | None) -> dict[str, Any]:
    """Content of a TOML file; empty without a file. UsageError, one sentence, if it can't be read."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
