"""Options of the verb `mutants`."""

import os
from dataclasses import dataclass

from ...errors import UsageError
from ...targets.options import option


@dataclass(frozen=True, kw_only=True)
class MutantsOptions:
    """Options of `ergo-conformance mutants`."""

    names: tuple[str, ...] = option((), "Run only these mutants; * and ? are wildcards.", metavar="NAME")
    suite: tuple[str, ...] = option((), "Run only cases of this suite; may be repeated.", metavar="NAME")
    case: tuple[str, ...] = option((), "Run only this case; may be repeated; * and ? are wildcards.", metavar="ID")
    all_cases: bool = option(False, "Run each selected case against each mutant, not only declared cases.")
    jobs: int = option(
        os.cpu_count() or 1, "Number of mutants in memory that run at once; over TCP four times as many.", metavar="N"
    )
    report: tuple[str, ...] = option((), "Write a report (json); may be repeated.", metavar="json=FILE")
    verbose: bool = option(
        False, "Print each mutant with the cases that find it; the default if NAME is given.", flags=("--verbose", "-v")
    )

    def check(self) -> None:
        """UsageError for a value that is not valid."""
        if self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs}: must be at least 1")
