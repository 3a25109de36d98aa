"""Feeds mutated inputs to a reader of the node and to the schemas, guided by coverage, and saves the inputs that fail.

An input fails if the readers disagree (value, or reason, path and offset), if one raises anything but a refusal, if the node's
reader needs more time or memory than allowed, or if the process dies.  Failing inputs are shrunk and saved as hex files.  The
state is saved in the output directory: a further run continues with its inputs and adds to its figures.  The exit code is 1 if
an input failed.  Coverage is that of every sixteenth input, and of each input whose verdict is new.
"""

import argparse
import json
import mmap
import multiprocessing as mp
import random
import re
import signal
import sys
import time
import tracemalloc
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import bench_codec
from campaign_inputs import LONGEST, mutated, shrunk
from campaign_readers import SUBJECTS, WATCHED, Subject, Verdict, difference, judge

from ergo_conformance.reference_node.ergo.edf import Decoder, Encoder

REFERENCE: Final = 584e-9
"""Seconds for which the small struct of bench_codec is read on the machine for which the limits are set."""
FIXED_TIME: Final = 0.1
"""Seconds that the node's reader may take for 64 KB."""
TIME_PER_BYTE: Final = 1e-6
"""Seconds for each byte above."""
FIXED_MEMORY: Final = 1_000_000
"""Bytes that the node's reader may allocate for any input."""
MEMORY_PER_BYTE: Final = 150
"""Bytes for each byte of the input, in addition."""
HANG: Final = 30.0
"""Seconds of processor time after which reading one input is ended, on the reference machine."""
SAMPLE: Final = 16
MEASURED: Final = 64
"""Memory is measured for one in so many inputs."""
MOST_FAILURES: Final = 20
SAVED: Final = 10.0  # seconds between two states


class HangError(BaseException):
    """Reading one input took too long."""


@dataclass
class State:
    """The figures of one reader, over all runs."""

    inputs: int = 0
    seconds: float = 0.0
    accepted: int = 0
    verdicts: int = 0
    lines: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Largest share of the allowed time that an input took."""
    largest: float = 0.0
    """Largest share of the allowed memory."""


class Campaign:
    """One reader, its inputs and its failures."""

    def __init__(self, name: str, seed: int, out: Path) -> None:
        self.name, self.out, self.rng = name, out / name, random.Random(f"{name} {seed}")
        self.out.mkdir(parents=True, exist_ok=True)
        self.subject: Subject = SUBJECTS[name]()
        self.state = State()
        if (self.out / "state.json").exists():
            self.state = State(**json.loads((self.out / "state.json").read_text()))
            self.rng = random.Random(f"{name} {seed} {self.state.inputs}")
        self.corpus = list(self.subject.seeds)
        if (self.out / "corpus.txt").exists():
            self.corpus += map(bytes.fromhex, (self.out / "corpus.txt").read_text().split())
        self.seen: set[Any] = set()
        self.covered: set[tuple[str, int]] = set()
        self.slowness = measured_slowness()

    def run(self, seconds: float, current: Any, most: int | None = None) -> None:
        """Tries inputs until the time is over or `most` are tried. `current`: shared memory that holds the present input."""
        signal.signal(signal.SIGVTALRM, _hang)
        began, saved, tried = time.monotonic(), time.monotonic(), 0
        self.begin(seconds)
        while time.monotonic() - began < seconds and (most is None or tried < most):
            data = mutated(self.rng.choice(self.corpus), self.rng.choice(self.corpus), self.rng)
            tried += 1
            current[:4] = len(data).to_bytes(4, "big")
            current[4 : 4 + len(data)] = data
            self.try_input(data)
            if time.monotonic() - saved > SAVED:
                self.state.seconds += time.monotonic() - saved
                saved = time.monotonic()
                self.save()
        self.state.seconds += time.monotonic() - saved
        self.save()

    def try_input(self, data: bytes) -> None:
        """Reads one input with all readers."""
        self.state.inputs += 1
        failure = self.failure(data)
        if failure or (self.state.inputs % MEASURED == 0 and (failure := self.memory_failure(data))):
            self.report(data, failure)

    def failure(self, data: bytes) -> str:
        """Returns the kind of failure of an input and its description, or ""."""
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG * self.slowness)
        try:
            start = time.process_time()
            judge(next(iter(self.subject.readers.values())), data)
            share = (time.process_time() - start) / self.allowed_time(data)
            found, verdict = difference(self.subject, data)
        except HangError:
            return "hang: no end"
        except Exception as error:  # noqa: BLE001  whatever a reader raises is a finding
            return f"exception: {type(error).__name__}: {error}"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if found:
            return f"disagreement: {found}"
        if share > 1:
            share = min(self.share_of_time(data) for _ in range(5))
        self.state.slowest = max(self.state.slowest, share)
        if share > 1:
            return f"slow: {share:.1f} times the allowed time"
        self.keep(data, verdict)
        return ""

    def allowed_time(self, data: bytes) -> float:
        """Returns the seconds that the node may take on this machine."""
        return (FIXED_TIME + max(0, len(data) - LONGEST) * TIME_PER_BYTE) * self.slowness

    def share_of_time(self, data: bytes) -> float:
        """Returns the share of the allowed time that the node takes."""
        start = time.process_time()
        judge(next(iter(self.subject.readers.values())), data)
        return (time.process_time() - start) / self.allowed_time(data)

    def memory_failure(self, data: bytes) -> str:
        """Returns a description if the node takes more memory than allowed, or ""."""
        tracemalloc.start()
        try:
            judge(next(iter(self.subject.readers.values())), data)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        share = held / (FIXED_MEMORY + MEMORY_PER_BYTE * len(data))
        self.state.largest = max(self.state.largest, share)
        return f"memory: {held:,} bytes for {len(data):,}" if share > 1 else ""

    # --- coverage -----------------------------------------------------------------------------------------------------

    def keep(self, data: bytes, verdict: Verdict) -> None:
        """Adds an input to the corpus if its verdict or the lines that it reaches are new."""
        self.state.accepted += verdict.reason is None
        kind = (verdict.reason, re.sub(r"\d+", "#", verdict.path)[:60], len(data).bit_length())
        new = kind not in self.seen
        if not new and self.state.inputs % SAMPLE:
            return
        self.seen.add(kind)
        if self.cover(data) or new:
            self.corpus.append(data)
            with (self.out / "corpus.txt").open("a") as file:
                file.write(data.hex() + "\n")

    def begin(self, seconds: float) -> None:
        """Notes verdicts of all inputs of the corpus, and lines as long as a tenth of the time lasts."""
        end = time.monotonic() + seconds / 10
        for data in list(self.corpus):
            verdict = judge(next(iter(self.subject.readers.values())), data)
            self.seen.add((verdict.reason, re.sub(r"\d+", "#", verdict.path)[:60], len(data).bit_length()))
            if time.monotonic() < end:
                self.cover(data)

    def cover(self, data: bytes) -> bool:
        """Reads an input and notes the lines of the readers; returns whether one is new."""
        before = len(self.covered)
        sys.settrace(self._trace_call)
        try:
            difference(self.subject, data)
        finally:
            sys.settrace(None)
        self.state.lines, self.state.verdicts = len(self.covered), len(self.seen)
        return len(self.covered) > before

    def _trace_call(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        return self._trace_line if event == "call" and file.startswith((*WATCHED, "<edf")) else None

    def _trace_line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.covered.add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace_line

    # --- results ------------------------------------------------------------------------------------------------------

    def report(self, data: bytes, failure: str) -> None:
        """Shrinks and saves a failing input, unless one like it is known."""
        kind = re.sub(r"\d+", "#", failure)[:80]
        if any(known.startswith(kind) for known in self.state.failures) or len(self.state.failures) >= MOST_FAILURES:
            return
        what = failure.split(":", maxsplit=1)[0]
        if what in ("disagreement", "exception"):
            data = shrunk(data, lambda shorter: re.sub(r"\d+", "#", self.failure(shorter))[:80] == kind)
        self.state.failures.append(f"{kind} | {failure[:300]}")
        (self.out / f"failure-{len(self.state.failures)}-{what}.hex").write_text(data.hex() + "\n")
        self.save()

    def save(self) -> None:
        """Saves the figures."""
        (self.out / "state.json").write_text(json.dumps(asdict(self.state), indent=1) + "\n")


def _hang(*_: Any) -> None:
    raise HangError


def measured_slowness() -> float:
    """Returns how many times slower this machine is than the one for which the limits are set."""
    case = bench_codec.cases()[0]
    data = Encoder(bench_codec.REGISTRY, bench_codec.CACHES).encode(case.value)
    decode, best = Decoder(bench_codec.REGISTRY, bench_codec.CACHES).decode, 1.0
    for _ in range(50):
        start = time.process_time()
        for _ in range(200):
            decode(data)
        best = min(best, (time.process_time() - start) / 200)
    return max(1.0, best / REFERENCE)


def work(name: str, seed: int, out: Path, seconds: float, current: Any, most: int | None) -> None:
    """The process that tries inputs."""
    Campaign(name, seed, out).run(seconds, current, most)


def supervise(name: str, seed: int, out: Path, seconds: float, most: int | None = None) -> State:
    """Runs one reader in a process of its own; saves the input at which the process died. Returns the figures."""
    context, current = mp.get_context("fork"), mmap.mmap(-1, LONGEST + 8)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        process = context.Process(target=work, args=(name, seed, out, left, current, most))
        process.start()
        process.join()
        if not process.exitcode:
            break
        path = out / name / "state.json"
        state = State(**json.loads(path.read_text())) if path.exists() else State()
        size = int.from_bytes(current[:4], "big")
        state.failures.append(f"crash: exit code {process.exitcode}")
        (out / name / f"failure-{len(state.failures)}-crash.hex").write_text(current[4 : 4 + size].hex() + "\n")
        path.write_text(json.dumps(asdict(state), indent=1) + "\n")
        seed += 1
        if len(state.failures) >= MOST_FAILURES:
            break
    return State(**json.loads((out / name / "state.json").read_text()))


def main() -> int:
    """Returns 0, or 1 if an input failed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("--minutes", type=float, default=15, help="time per reader (default: %(default)s)")
    options.add_argument("--reader", choices=sorted(SUBJECTS), action="append", help="one reader; all by default")
    options.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    options.add_argument("--inputs", type=int, default=None, help="limit of the inputs of a run (default: none)")
    options.add_argument("--out", type=Path, default=Path("build/campaign"), help="(default: %(default)s)")
    given = options.parse_args()
    failed = False
    for name in given.reader or SUBJECTS:
        state = supervise(name, given.seed, given.out, 60 * given.minutes, given.inputs)
        failed |= bool(state.failures)
        print(
            f"{name}: {state.inputs:,} inputs in {state.seconds / 60:.1f} minutes, {state.accepted:,} accepted, "
            f"{state.verdicts:,} kinds of verdicts, {state.lines:,} lines; largest share of the allowed time "
            f"{state.slowest:.2f}, memory {state.largest:.2f}; failures: {len(state.failures)}"
        )
        for failure in state.failures:
            print(f"  {failure}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
