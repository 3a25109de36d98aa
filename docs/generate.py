"""Writes docs/generated from tables, schemas and the catalogue of requirements. `tests/test_docs.py` checks the result."""

from pathlib import Path

from ergo_conformance.spec.export.markdown import PAGES

FOLDER = Path(__file__).parent / "generated"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(FOLDER / name)
