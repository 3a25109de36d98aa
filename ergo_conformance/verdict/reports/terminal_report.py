"""Terminal report: header, progress, failures on one screen each, summary."""

import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ...model.show import CUT, common_prefix, cut
from ...model.text import escape as escape_controls
from ...spec.requirements import catalogue
from ..run.events import CaseFinished, RunFinished, RunListener, RunStarted
from ..run.outcome import BAD, DID_NOT_RUN, Outcome, Verdict
from ..run.summary import RunHeader, RunSummary
from .causes import causes, families
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
"""Number of causes of which one failure is shown in full."""
MAX_IDS: Final = 12
"""Number of further cases, each with all its parameters, that a block lists."""
MAX_TEXT: Final = 400
"""Characters of an expected or received text."""
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def escape(text: str) -> str:
    """Text without markup and control codes; targets choose parts of the printed text."""
    return escape_markup(escape_controls(text, keep="\n"))


def excerpts(texts: Sequence[str], received: str) -> list[str]:
    """Texts of at most MAX_TEXT characters; longer ones are cut so that their first difference from `received` is shown."""
    return [_excerpt(text, common_prefix(text, received)) for text in texts]


def _excerpt(text: str, at: int) -> str:
    if len(text) <= MAX_TEXT:
        return text
    start = max(0, min(at - MAX_TEXT // 2, len(text) - MAX_TEXT))
    return f"{CUT if start else ''}{cut(text[start:], MAX_TEXT)}"


def plural(cases: int) -> str:
    """Returns a count in words: `1 case`, `2 cases`."""
    return f"{cases} case{'' if cases == 1 else 's'}"


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
        found = causes(summary.outcomes)
        blocks = 1 if summary.hint else MAX_BLOCKS
        for cause in found[:blocks]:
            self._block(cause.outcomes[0], cause.outcomes[1:])
        if len(found) > blocks:
            left = sum(len(cause.outcomes) for cause in found[blocks:])
            self.console.print(
                f"\n… and {plural(left)} more with {len(found) - blocks} other causes; --report json=FILE has all of them"
            )
        self._findings(summary)
        self._table(summary)
        for text in summary.errors:
            self.console.print(f"[bold red]error[/] {escape(text)}")
        if summary.hint:
            self.console.print(f"[bold]{summary.hint}[/]")
        self._last_line(summary)

    def _block(self, outcome: Outcome, others: Sequence[Outcome]) -> None:
        """Prints an outcome in full, and the ids of others with the same cause."""
        say = self.console.print
        say()
        say(
            f"[{STYLES[outcome.verdict]}]{outcome.verdict.value}[/] [bold]{escape(outcome.id)}[/]  {escape(outcome.title)}"
        )
        if outcome.violated:
            self._requirement(outcome.violated)
        if outcome.reason:
            say(f"  {escape(cut(outcome.reason, MAX_TEXT))}")
        self._evidence(outcome)
        for label, lines in outcome.transcripts[-MAX_SOCKETS:]:
            say(f"  [dim]{escape(label)}[/]")
            for line in lines:
                say(f"    {escape(line.stamp + line.short)}", overflow="ellipsis", no_wrap=True)
        for attempt in outcome.earlier:
            received = escape(cut(attempt.received, MAX_TEXT))
            say(f"  [dim]earlier [/] {received} [dim](ran again: {escape(cut(attempt.reason, MAX_TEXT))})[/]")
        if outcome.stderr:
            say("  [dim]stderr of the target[/]")
            for text in outcome.stderr:
                say(f"    {escape(text)}", overflow="ellipsis", no_wrap=True)
        if others:
            self._others(others)
        if self.rerun:
            command = self.rerun.replace("{case}", f"--case '{outcome.id}'")
            say(f"  [dim]again   [/] {escape(command)}", soft_wrap=True)

    def _requirement(self, id_: str) -> None:
        requirement = catalogue()[id_]
        head = f"{id_} {requirement.level}: "
        text = textwrap.fill(head + requirement.text, self.console.width - 2, subsequent_indent=" " * 4)
        self.console.print(f"  [bold]{id_}[/]{escape(text[len(id_) :])}", soft_wrap=True)

    def _evidence(self, outcome: Outcome) -> None:
        say = self.console.print
        for text in outcome.before:
            say(f"  [dim]before  [/] {escape(cut(text, MAX_TEXT))}")
        if outcome.sent:
            say(f"  [dim]sent    [/] {escape(cut(outcome.sent, MAX_TEXT))}")
        for i, text in enumerate(excerpts(outcome.expected, outcome.received)):
            say(f"  [dim]{'expected' if i == 0 else '      or'}[/] {escape(text)}")
        if outcome.received:
            at = max((common_prefix(text, outcome.received) for text in outcome.expected), default=0)
            say(f"  [dim]received[/] [bold]{escape(_excerpt(outcome.received, at))}[/]")
        if outcome.difference:
            say(f"  [dim]differs [/] {escape(outcome.difference)}")

    def _others(self, others: Sequence[Outcome]) -> None:
        """Prints the ids of cases with the same cause."""
        names = families(others)
        left = f" and {len(names) - MAX_IDS} more" if len(names) > MAX_IDS else ""
        text = f"also     {plural(len(others))} with this cause: {', '.join(names[:MAX_IDS])}{left}"
        filled = textwrap.fill(text, self.console.width - 2, subsequent_indent=" " * 9, break_on_hyphens=False)
        head, rest = filled[:8], filled[8:]
        self.console.print(
            "\n".join(f"  {line}" for line in f"[dim]{head}[/]{escape(rest)}".split("\n")), soft_wrap=True
        )

    def _findings(self, summary: RunSummary) -> None:
        for verdict in (Verdict.WARN, Verdict.INFO):
            found = [outcome for outcome in summary.outcomes if outcome.verdict is verdict]
            for outcome in found:
                received = f": {cut(outcome.received, MAX_TEXT)}" if outcome.received else ""
                self.console.print(f"[{STYLES[verdict]}]{verdict.value}[/] {escape(outcome.id)}{escape(received)}")
        for verdict in (Verdict.SKIP, Verdict.ERROR):
            reasons = Counter(outcome.reason for outcome in summary.outcomes if outcome.verdict is verdict)
            for reason, n in reasons.most_common():
                if verdict is Verdict.SKIP or reason.startswith(DID_NOT_RUN):
                    text = escape(cut(reason, MAX_TEXT))
                    self.console.print(f"[{STYLES[verdict]}]{verdict.value} {n:3} × {text}[/]")
        again = [outcome.earlier[0].reason for outcome in summary.outcomes if outcome.earlier]
        if again:
            reason = Counter(_NUMBER.sub("N", each) for each in again).most_common(1)[0][0]
            self.console.print(f"{plural(len(again))} ran again, most often because {escape(cut(reason, MAX_TEXT))}")

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
        tried = sum(outcome.verdict is not Verdict.SKIP and not outcome.did_not_run for outcome in summary.outcomes)
        words = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]) or "nothing"
        style = "bold red" if summary.exit_code == 1 else "bold yellow" if summary.exit_code else "bold green"
        text = {0: "conforms", 1: "does not conform", 5: "nothing was tested"}[summary.exit_code]
        if summary.errors and not any(counts[verdict] for verdict in BAD):
            text = "the run had errors"
        if summary.interrupted:
            text = "interrupted"
        self.console.print(f"[{style}]{text}[/]: {words} ({plural(tried)} tried, {summary.seconds:.1f} s)")
