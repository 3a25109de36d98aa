"""Generated pages are up to date; links between pages and paths in the text exist."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = runpy.run_path(str(DOCS / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / "generated" / name).read_text(encoding="utf-8") == PAGES[name](), "run python docs/generate.py"


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *DOCS.glob("*.md")], ids=lambda path: path.name)
def test_links_between_pages_have_a_target(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *DOCS.glob("*.md")], ids=lambda path: path.name)
def test_paths_in_backticks_exist(page: Path) -> None:
    """Paths are relative to the repository or to one of the packages."""
    named = re.findall(r"`([\w.-]+/[\w./-]+\.(?:py|toml|json|md|sh))`", page.read_text(encoding="utf-8"))
    places = [ROOT, *(path.parent for path in (ROOT / "ergo_conformance").rglob("__init__.py"))]
    missing = [path for path in named if not any((place / path).exists() for place in places)]
    assert not missing
