"""Terminal report: header, progress, failures on one screen each, summary."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ...spec.requirements import catalogue
from ..run.events import CaseFinished, RunFinished, RunListener, RunStarted
from ..run.outcome import BAD, DID_NOT_RUN, Outcome, Verdict, printable
from ..run.summary import RunHeader, RunSummary
from .console import make_console

STYLES: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INFO: "cyan",
    Verdict.SKIP: "dim",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.ERROR: "bold magenta",
}
MAX_SOCKETS: Final = 2
"""Number of sockets whose transcripts a failure block shows: the last ones."""
MAX_LINES: Final = 20
"""Number of failures that are printed when they are known; the end of the run has the others."""
MAX_BLOCKS: Final = 10
"""Number of failures that are shown in full."""
MIN_SHARED: Final = 4
"""Number of INCONCLUSIVE cases with one reason that are shown as one."""


def escape(text: str) -> str:
    """Text without markup and control codes; targets choose parts of the printed text."""
    return escape_markup(printable(text))


def plural(cases: int) -> str:
    """Returns a count in words: `1 case`, `2 cases`."""
    return f"{cases} case{'' if cases == 1 else 's'}"


def shared_reasons(outcomes: Sequence[Outcome]) -> Counter[tuple[Verdict, str]]:
    """Counts the cases of each reason that is printed once: every one to skip, and that of cases that did not run.

    A reason to judge nothing counts if at least MIN_SHARED cases have it.
    """
    reasons = Counter((o.verdict, o.reason) for o in outcomes if o.reason)
    return Counter(
        {
            (verdict, reason): n
            for (verdict, reason), n in reasons.items()
            if verdict is Verdict.SKIP
            or (verdict is Verdict.ERROR and reason.startswith(DID_NOT_RUN))
            or (verdict is Verdict.INCONCLUSIVE and n >= MIN_SHARED)
        }
    )


class TerminalReport(RunListener):
    """Prints during the run. Honours NO_COLOR and COLUMNS; draws the progress bar on a terminal only.

    `rerun`: command line that runs one case again, with `{case}` in place of the `--case` option.
    """

    def __init__(self, *, verbose: bool = False, rerun: str = "", console: Console | None = None) -> None:
        self.console = console or make_console()
        self.verbose = verbose
        self.rerun = rerun
        self._failures = 0
        self._progress: Progress | None = None

    def __str__(self) -> str:
        return "terminal"

    def run_started(self, event: RunStarted) -> None:
        self._header(event.header)
        if self.console.is_terminal and not self.verbose:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task("cases", total=event.header.cases)

    def _header(self, header: RunHeader) -> None:
        say = self.console.print
        say(f"[bold]ergo-conformance {header.version}[/]  {escape(header.target)}")
        name = f"node {escape(header.name)}, " if header.name else ""
        say(
            f"{name}profile {header.profile}, offers {', '.join(header.offers)}, seed {header.seed}, {plural(header.cases)}"
        )
        if header.silent:
            say("[bold]The target accepts connections but did not answer the first Hello.[/]")
        if header.serial:
            say("The target does one handshake at a time (EHS-TIME-3): the cases run one by one, which takes minutes.")

    def case_finished(self, event: CaseFinished) -> None:
        outcome = event.outcome
        if self._progress is not None:
            self._progress.advance(self._task)
        self._failures += outcome.verdict in BAD
        if self.verbose or (outcome.verdict in BAD and self._failures <= MAX_LINES):
            style = STYLES[outcome.verdict]
            self.console.print(
                f"[{style}]{outcome.verdict.value:5}[/] {escape(outcome.id)}  [dim]{outcome.seconds:.2f} s[/]"
            )

    def run_finished(self, event: RunFinished) -> None:
        summary = event.summary
        if self._progress is not None:
            self._progress.stop()
        shared = shared_reasons(summary.outcomes)
        bad = [o for o in summary.outcomes if o.verdict in BAD and (o.verdict, o.reason) not in shared]
        blocks = 1 if summary.hint else MAX_BLOCKS
        for outcome in bad[:blocks]:
            self._block(outcome)
        if len(bad) > blocks:
            self.console.print(f"\n… and {len(bad) - blocks} more; --report json=FILE has all of them")
        self._findings(summary)
        self._table(summary)
        for text in summary.errors:
            self.console.print(f"[bold red]error[/] {escape(text)}")
        if summary.hint:
            self.console.print(f"[bold]{summary.hint}[/]")
        self._last_line(summary)

    def _block(self, outcome: Outcome) -> None:
        say = self.console.print
        say()
        say(
            f"[{STYLES[outcome.verdict]}]{outcome.verdict.value}[/] [bold]{escape(outcome.id)}[/]  {escape(outcome.title)}"
        )
        for id_ in outcome.requirements:
            requirement = catalogue()[id_]
            head = f"{id_} {requirement.level}: "
            text = textwrap.fill(head + requirement.text, self.console.width - 2, subsequent_indent=" " * 4)
            say(f"  [bold]{id_}[/]{escape(text[len(id_) :])}", soft_wrap=True)
        if outcome.reason:
            say(f"  {escape(outcome.reason)}")
        if outcome.sent:
            say(f"  [dim]sent    [/] {escape(outcome.sent)}")
        for i, text in enumerate(outcome.expected):
            say(f"  [dim]{'expected' if i == 0 else '      or'}[/] {escape(text)}")
        if outcome.received:
            say(f"  [dim]received[/] [bold]{escape(outcome.received)}[/]")
        for label, lines in outcome.transcripts[-MAX_SOCKETS:]:
            say(f"  [dim]{escape(label)}[/]")
            for line in lines:
                say(f"    {escape(line)}", overflow="ellipsis", no_wrap=True)
        for attempt in outcome.earlier:
            say(f"  [dim]before  [/] {escape(attempt.received)} [dim](ran again: {escape(attempt.reason)})[/]")
        if outcome.stderr:
            say("  [dim]stderr of the target[/]")
            for line in outcome.stderr:
                say(f"    {escape(line)}", overflow="ellipsis", no_wrap=True)
        if self.rerun:
            command = self.rerun.replace("{case}", f"--case '{outcome.id}'")
            say(f"  [dim]again   [/] {escape(command)}", soft_wrap=True)

    def _findings(self, summary: RunSummary) -> None:
        for verdict in (Verdict.WARN, Verdict.INFO):
            found = [outcome for outcome in summary.outcomes if outcome.verdict is verdict]
            for outcome in found:
                received = f": {outcome.received}" if outcome.received else ""
                self.console.print(f"[{STYLES[verdict]}]{verdict.value}[/] {escape(outcome.id)}{escape(received)}")
        for (verdict, reason), n in shared_reasons(summary.outcomes).most_common():
            self.console.print(f"[{STYLES[verdict]}]{verdict.value} {n:3} × {escape(reason)}[/]")
        again = [outcome for outcome in summary.outcomes if outcome.earlier]
        if again:
            reasons = Counter(outcome.earlier[0].reason for outcome in again).most_common(1)
            self.console.print(f"{plural(len(again))} ran again; most often because {escape(reasons[0][0])}")

    def _table(self, summary: RunSummary) -> None:
        used = [verdict for verdict in Verdict if summary.counts[verdict]]
        if not used:
            return
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("suite")
        for verdict in used:
            table.add_column(verdict.value, justify="right", style=STYLES[verdict])
        for suite in dict.fromkeys(outcome.suite for outcome in summary.outcomes):
            counts = Counter(outcome.verdict for outcome in summary.outcomes if outcome.suite == suite)
            table.add_row(suite, *(str(counts[verdict] or "") for verdict in used))
        self.console.print(table)

    def _last_line(self, summary: RunSummary) -> None:
        counts = summary.counts
        tried = len(summary.outcomes) - counts[Verdict.SKIP]
        words = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]) or "nothing"
        style = "bold red" if summary.exit_code == 1 else "bold yellow" if summary.exit_code else "bold green"
        text = {0: "conforms", 1: "does not conform", 5: "nothing was tested"}[summary.exit_code]
        if summary.errors and not any(counts[verdict] for verdict in BAD):
            text = "the run had errors"
        if summary.interrupted:
            text = "interrupted"
        self.console.print(f"[{style}]{text}[/]: {words} ({plural(tried)} tried, {summary.seconds:.1f} s)")
