"""Terminal report of a kill matrix: progress, mutants that are not found as declared, cases without mutant, scores."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..reports.terminal_report import escape, plural
from ..run.collected_case import CollectedCase
from .plan import PlannedRun
from .processes import CaseJudged, RunEnded
from .result import Matrix, MutantResult, Status, percent

STYLES: Final = {
    Status.KILLED: "green",
    Status.SURVIVED: "bold red",
    Status.MISDECLARED: "bold red",
    Status.ERROR: "bold magenta",
    Status.NOT_RUN: "dim",
}


def families(ids: Iterable[str], cases: Mapping[str, CollectedCase]) -> list[str]:
    """Ids of cases, where `case[*]` stands for all parameters of a case; `found_by` of a mutant takes them as they are."""
    given = list(ids)
    whole, here = (Counter(id_.partition("[")[0] for id_ in each) for each in (cases, given))
    found = []
    for id_ in given:
        function, bracket, _ = id_.partition("[")
        found.append(f"{function}[*]" if bracket and here[function] == whole[function] > 1 else id_)
    return list(dict.fromkeys(found))


class MatrixTerminalReport:
    """Prints during the matrix. The progress bar is drawn on a terminal only. `verbose`: also mutants that are found."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self.console, self.verbose = console, verbose
        self._progress: Progress | None = None

    def started(self, runs: Sequence[PlannedRun]) -> None:
        """Prints what runs."""
        mutants = [run.mutant for run in runs if run.mutant is not None]
        subtle = sum(mutant.subtle for mutant in mutants)
        count = sum(len(run.cases) for run in runs)
        self.console.print(
            f"[bold]kill matrix[/]: {len(mutants)} mutants, {subtle} of them subtle; {count} runs of cases"
        )
        if self.console.is_terminal:
            columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=self.console, transient=True)
            self._progress.start()
            self._task = self._progress.add_task("", total=count)

    def add(self, event: CaseJudged | RunEnded, matrix: Matrix) -> None:
        """Prints a mutant that has ended, if it is not found as declared."""
        if isinstance(event, CaseJudged):
            if self._progress is not None:
                self._progress.advance(self._task)
        elif event.run.mutant is not None:
            result = matrix.mutant(event.run.name)
            if self.verbose or result.status is not Status.KILLED:
                self._mutant(result, matrix)

    def _mutant(self, result: MutantResult, matrix: Matrix) -> None:
        say, mutant = self.console.print, result.mutant
        subtle = " (subtle)" if mutant.subtle else ""
        say(f"[{STYLES[result.status]}]{result.status}[/] [bold]{mutant.id}[/]{subtle}  {escape(mutant.breaks)}")
        say(f"  [dim]requirements[/] {' '.join(mutant.requirements)}")
        if self.verbose:
            for id_ in families(result.kills, matrix.cases):
                say(f"  [dim]killed by   [/] {escape(id_)}", soft_wrap=True)
        for text in result.problems:
            say(f"  [dim]problem     [/] {escape(text)}", soft_wrap=True)

    def finished(self, matrix: Matrix) -> None:
        """Prints the summary."""
        self.close()
        self._missing(matrix)
        self._table(matrix)
        for text in matrix.pristine_problems:
            self.console.print(f"[bold red]node without a fault[/] {escape(text)}", soft_wrap=True)
        for text in matrix.errors:
            self.console.print(f"[bold red]error[/] {escape(text)}")
        self._last_line(matrix)

    def close(self) -> None:
        """Removes the progress bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _missing(self, matrix: Matrix) -> None:
        missing = matrix.missing
        if not missing or not matrix.selection.lists_missing:
            return
        for reason in dict.fromkeys(each.reason for each in missing):
            ids = [each.case.id for each in missing if each.reason == reason]
            why = reason or "declare one in ergo_conformance/mutants/ and name the case in its `found_by`"
            self.console.print(f"\n{plural(len(ids))} of a MUST without mutant: {escape(why)}")
            for id_ in families(ids, matrix.cases):
                self.console.print(f"  {escape(id_)}", soft_wrap=True)

    def _table(self, matrix: Matrix) -> None:
        results = matrix.mutants
        used = [status for status in Status if any(result.status is status for result in results)]
        if not used:
            return
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("area")
        for status in used:
            table.add_column(status.value, justify="right", style=STYLES[status])
        table.add_column("subtle", justify="right")
        for area in dict.fromkeys(result.mutant.area for result in results):
            of_area = [result for result in results if result.mutant.area == area]
            counts = Counter(result.status for result in of_area)
            subtle = sum(result.mutant.subtle for result in of_area)
            table.add_row(area, *(str(counts[status] or "") for status in used), str(subtle or ""))
        self.console.print(table)

    def _last_line(self, matrix: Matrix) -> None:
        results, must = matrix.mutants, len(matrix.must_cases)
        killed = sum(result.status is Status.KILLED for result in results)
        found = must - len(matrix.missing)
        good = matrix.exit_code == 0
        text = "interrupted" if matrix.interrupted else "killed" if good else "not killed"
        if not results:
            text = "nothing was selected"
        say = self.console.print
        say(f"kill score on MUST: {percent(found, must)} % ({found} of {must} cases find a mutant)")
        say(
            f"[{'bold green' if good else 'bold red'}]{text}[/]: {killed} of {len(results)} mutants are found as declared"
            f" ({percent(killed, len(results))} %), {matrix.seconds:.1f} s"
        )
