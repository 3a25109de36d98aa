"""`python -m ergo_conformance` is the console script."""

from .cli import main

main()
