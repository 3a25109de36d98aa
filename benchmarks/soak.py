"""Three reference nodes in three processes, for minutes: everything they can do, while links are cut and nodes are killed.

One line per interval and a summary.  Exit code 1 if an invariant was broken: each sender's messages in order and once, no
acknowledged message lost, each call its own answer, each relation told once, one connection per pair with a full pool when it
is quiet, file descriptors bounded, and, from five minutes on, memory at the end as in the third minute.
"""

import argparse
import multiprocessing as mp
import platform
import random
import socket
import sys
import time
from collections import Counter
from statistics import median
from typing import Any, Final

import soak_node

NAMES: Final = ("n0@localhost", "n1@localhost", "n2@localhost")
"""The first one is never ended before the end: its memory is looked at."""
INTERVAL: Final = 5.0
POOL: Final = 3
SPARE: Final = 1
LINKS: Final = 2 * (POOL + SPARE)
MOST_FILES: Final = 20 + 3 * LINKS
"""Of one node: what a process has, and the links of both connections, old and new ones."""
GROWTH: Final = 1.05
CUT, DISCONNECT, KILL = 0.85, 0.92, 0.96
"""Of a dice from 0 to 1: below the first a link is cut, below the second all connections of a node are ended, below the third
one is killed, else it is stopped.
"""
MINUTE: Final = 60.0
JUDGED_FROM: Final = 5
"""Minutes from which on memory is judged."""
QUESTION_TIMEOUT: Final = 30.0
REST: Final = 3.0
"""Seconds in which pools fill up when nothing disturbs them, the longest pause between two tries included twice."""


class Child:
    """One node's process, which may be started again."""

    def __init__(self, name: str, ports: dict[str, int], seed: int) -> None:
        self.name, self.ports, self.seed = name, ports, seed
        self.lives = 0
        self.started = 0.0
        self.start()

    def start(self) -> None:
        """A new life, in another second than the last one: lives are told apart by it."""
        time.sleep(max(0.0, self.started + 1.1 - time.time()))
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        plan = soak_node.Plan(self.name, self.ports, self.seed + 1000 * self.lives)
        self.process = context.Process(target=soak_node.child, args=(theirs, plan), daemon=True)
        self.process.start()
        theirs.close()
        self.started = time.time()
        self.lives += 1
        self._answer()

    def ask(self, question: str) -> Any:
        """What the node answers. RuntimeError if it hangs or has died."""
        self.pipe.send(question)
        return self._answer()

    def _answer(self) -> Any:
        if not self.pipe.poll(QUESTION_TIMEOUT):
            raise RuntimeError(f"{self.name} does not answer")
        try:
            return self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name} has died") from None

    def stop(self) -> None:
        """A regular end."""
        self.ask("stop")
        self.process.join(QUESTION_TIMEOUT)

    def kill(self) -> None:
        """Without a word."""
        self.process.kill()
        self.process.join(QUESTION_TIMEOUT)


class Conductor:
    """Starts the nodes, disturbs them, and adds up."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
        self.children = [Child(name, ports, seed * 10 + i) for i, name in enumerate(NAMES)]
        self.began = time.monotonic()
        self.total: Counter[str] = Counter()
        """Of the lives that are over, and what the conductor did."""
        self.broken: list[str] = []
        self.memory: list[tuple[float, int]] = []
        """Seconds since the start, and bytes of the first node."""
        self.most_files = 0
        self.said: set[str] = set()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def check(self, holds: object, what: str) -> None:
        """One invariant."""
        if not holds:
            self.broken.append(what)

    def run(self, minutes: float) -> None:
        """Disturbs them so long; then lets them rest, and looks whether all is as it should be."""
        end = minutes * MINUTE
        next_line = INTERVAL
        while self.now < end:
            time.sleep(min(self.rng.uniform(0.1, 0.8), max(end - self.now, 0)))
            self.disturb()
            if self.now >= next_line:
                self.look()
                next_line += INTERVAL
        self.settle()

    def disturb(self) -> None:
        """One thing that goes wrong."""
        child = self.rng.choice(self.children)
        dice = self.rng.random()
        if dice < CUT:
            self.total["cut links"] += child.ask("cut")
        elif dice < DISCONNECT:
            self.total["disconnected"] += child.ask("disconnect")
        else:
            self.restart(self.rng.choice(self.children[1:]), kill=dice < KILL)

    def restart(self, child: Child, *, kill: bool) -> None:
        """Its counts are kept; what it has found broken, too."""
        self.add(child.ask("report"))
        if kill:
            child.kill()
        else:
            child.stop()
        self.total["killed" if kill else "restarted"] += 1
        child.start()

    def add(self, report: dict[str, Any]) -> None:
        """What a life that ends has counted."""
        self.total.update(report["counts"])
        self.broken += report["broken"]

    def look(self) -> list[dict[str, Any]]:
        """One line; the invariants that hold at any time."""
        reports = [child.ask("report") for child in self.children]
        for child, report in zip(self.children, reports, strict=True):
            self.check(report["files"] <= MOST_FILES, f"{child.name}: {report['files']} files are open")
            for peer, (_, links) in report["connections"].items():
                self.check(0 < links <= POOL + SPARE, f"{child.name}: {links} links with {peer}")
            self.most_files = max(self.most_files, report["files"])
        self.memory.append((self.now, reports[0]["memory"]))
        counts = self.total + sum((Counter(report["counts"]) for report in reports), Counter())
        broken = self.broken + [line for report in reports for line in report["broken"]]
        print(
            f"{self.now:6.0f} s  {counts['received']:>9,} messages {counts['acknowledged']:>8,} acks"
            f" {counts['calls']:>8,} calls {counts['events']:>8,} events {counts['told']:>7,} told"
            f" {counts['cut links']:>5} cuts {counts['killed'] + counts['restarted']:>3} restarts"
            f"  {'/'.join(str(r['memory'] >> 20) for r in reports)} MB"
            f"  {'/'.join(str(r['files']) for r in reports)} files  {len(broken)} broken",
            flush=True,
        )
        for line in dict.fromkeys(line for line in broken if line not in self.said):
            print(f"        {line}", flush=True)
            self.said.add(line)
        return reports

    def settle(self) -> None:
        """Quiet: nobody waits for anything, pools are full, both sides agree; then apart: every relation was told."""
        for child in self.children:
            child.pipe.send("quiet")
        for child in self.children:
            child._answer()  # noqa: SLF001
        for child in self.children:
            child.ask("connect")
        deadline = time.monotonic() + 4 * REST
        while not self.all_full() and time.monotonic() < deadline:
            time.sleep(0.1)
        reports = self.look()
        for child, report in zip(self.children, reports, strict=True):
            self.check(report["waiting"] == 0, f"{child.name}: {report['waiting']} still wait for an answer")
            for other, others in zip(self.children, reports, strict=True):
                if other is not child:
                    ours, theirs = report["connections"].get(other.name), others["connections"].get(child.name)
                    self.check(
                        ours == theirs and ours and ours[1] == POOL, f"{child.name} {ours}, {other.name} {theirs}"
                    )
        for child in self.children:
            child.ask("disconnect")
        time.sleep(1.0)
        for child in self.children:
            report = child.ask("report")
            self.check(report["open"] == 0, f"{child.name}: {report['open']} relations were never told")
            self.check(report["relations"] == 0, f"{child.name}: {report['relations']} relations are left in the table")
            self.check(not report["connections"], f"{child.name} is connected still")
            self.add(report)
            child.stop()

    def all_full(self) -> bool:
        """Whether each node has a full pool with each other one."""
        return all(
            [links for _, links in child.ask("report")["connections"].values()] == [POOL] * (len(NAMES) - 1)
            for child in self.children
        )

    def growth(self) -> tuple[float, float]:
        """Bytes of the first node in the third minute and in the last one, the middle one of each."""
        last = self.memory[-1][0]
        third = [size for when, size in self.memory if 2 * MINUTE <= when < 3 * MINUTE]
        final = [size for when, size in self.memory if when >= last - MINUTE]
        return median(third), median(final)

    def kill(self) -> None:
        """Ends what is left."""
        for child in self.children:
            if child.process.is_alive():
                child.kill()


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens at, for now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main() -> int:
    """0, or 1 if something is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, seed {given.seed}, {given.minutes:g} minutes")
    conductor = Conductor(given.seed)
    try:
        conductor.run(given.minutes)
    except RuntimeError as error:
        conductor.broken.append(str(error))
    finally:
        conductor.kill()
    for what, count in sorted(conductor.total.items()):
        print(f"{what:<20}{count:>12,}")
    print(f"{'most files':<20}{conductor.most_files:>12,}")
    if given.minutes >= JUDGED_FROM and conductor.memory:
        third, final = conductor.growth()
        print(f"memory of {NAMES[0]}: {third / 2**20:.1f} MB in the third minute, {final / 2**20:.1f} MB in the last")
        conductor.check(final <= GROWTH * third, "memory has grown")
    for line in conductor.broken:
        print(f"BROKEN: {line}")
    print("broken" if conductor.broken else "all invariants hold")
    return 1 if conductor.broken else 0


if __name__ == "__main__":
    sys.exit(main())
