"""Writes docs/generated from the tables, the schemas and the catalogue. `tests/test_docs.py` checks that it was run."""

from pathlib import Path

from ergo_conformance.spec.export.markdown import PAGES

FOLDER = Path(__file__).parent / "generated"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(FOLDER / name)
