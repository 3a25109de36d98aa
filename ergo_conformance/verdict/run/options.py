"""Options of a run: one table, from which `ergo-conformance run` and the pytest plugin make their options."""

from dataclasses import dataclass

from ...errors import UsageError, suggestion
from ...model.text import escape, is_utf_8
from ...targets.options import TargetOptions, option
from ..reports import REPORTS

DEFAULT_PROFILE = "ergo-3.1"


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Options that select cases of a suite."""

    profile: str = option(DEFAULT_PROFILE, "Release whose requirements hold.")
    level: str = option("", "Select only cases of this level or a stricter one.", metavar="must|should|may|observed")

    def check(self) -> None:
        """UsageError for a value that is not valid."""
        from ...model.ergo.records import PROFILES  # here, since every pytest session imports this module
        from ...spec.requirements import RequirementLevel

        if self.profile not in PROFILES:
            raise UsageError(f"--profile {self.profile}: unknown profile{suggestion(self.profile, PROFILES)}")
        levels = [level.value.lower() for level in RequirementLevel]
        if self.level and self.level.lower() not in levels:
            raise UsageError(f"--level {self.level}: unknown level{suggestion(self.level, levels)}")


@dataclass(frozen=True, kw_only=True)
class RunOptions(SelectionOptions, TargetOptions):
    """Options that the command line and the pytest plugin share."""

    case: tuple[str, ...] = option((), "Select only this case; may be repeated; * and ? are wildcards.", metavar="ID")
    seed: int | None = option(
        None, "Seed of all salts, names and ids. Default: 0; for a running target a new one in each run.", metavar="N"
    )
    jobs: int = option(16, "Maximum number of live cases that run concurrently.", metavar="N")
    timeout: float = option(30.0, "Maximum duration of one live case, in seconds.", metavar="S")
    report: tuple[str, ...] = option(
        (), f"Write a report ({', '.join(REPORTS)}); may be repeated.", metavar="KIND=FILE"
    )


@dataclass(frozen=True, kw_only=True)
class SessionOptions(RunOptions):
    """Options of a pytest session."""

    terminal: bool = option(False, "Print the report of `ergo-conformance run` in place of pytest's own lines.")
    rerun: str = option("", "Command line that a failure shows for running it again.", metavar="COMMAND")
    verbose: bool = False
    """True if pytest was called with -v."""
    keyword: str = ""
    """Expression of pytest's -k."""

    def check(self) -> None:
        super().check()
        for name, value in vars(self).items():
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and name != "target" and not is_utf_8(text):
                    raise UsageError(f"--{name.replace('_', '-')} {escape(text)}: the value is not UTF-8")
        if self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs}: must be at least 1")
        if not 0 < self.timeout < float("inf"):
            raise UsageError(f"--timeout {self.timeout:g}: must be more than 0 seconds")
