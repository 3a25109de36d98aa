"""Runs three reference nodes in three processes for minutes, with all features, while sockets are cut and nodes are killed.

Prints one line per interval and a summary.  The exit code is 1 if an invariant was broken: each sender's messages arrive in
order and once, no acknowledged message is lost, each call gets its own answer, the end of each relation is reported once,
each pair of nodes has one connection with a full pool when undisturbed, file descriptors are bounded, and, from five
minutes on, memory at the end is as low as in the third minute.
"""

import argparse
import contextlib
import multiprocessing as mp
import os
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
"""The first node runs until the end: its memory is measured."""
INTERVAL: Final = 5.0
POOL: Final = 3
SPARE: Final = 1
LINKS: Final = 2 * (POOL + SPARE)
MOST_FILES: Final = 20 + 3 * LINKS
"""Maximum of one node: the descriptors of any process, and the sockets of both connections, old and new ones."""
GROWTH: Final = 1.05
CUT, DISCONNECT, KILL = 0.85, 0.92, 0.96
"""Limits of a random number from 0 to 1: below the first a socket is cut, below the second all connections of a node are
closed, below the third a node is killed, otherwise a node is stopped.
"""
MINUTE: Final = 60.0
JUDGED_FROM: Final = 5
"""Minutes from which on memory is checked."""
QUESTION_TIMEOUT: Final = 30.0
REST: Final = 3.0
"""Seconds within which undisturbed pools fill up, including twice the longest pause between two attempts."""


class Child:
    """The process of one node, which can be restarted."""

    def __init__(self, name: str, ports: dict[str, int], seed: int) -> None:
        self.name, self.ports, self.seed = name, ports, seed
        self.lives = 0
        self.started = 0.0
        self.start()

    def start(self) -> None:
        """Starts a new incarnation, in another second than the last one: the creation distinguishes incarnations."""
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
        """Returns the node's answer. RuntimeError if the node hangs or has died."""
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
        """Stops the node regularly."""
        self.ask("stop")
        self.process.join(QUESTION_TIMEOUT)

    def kill(self) -> None:
        """Kills the process."""
        self.process.kill()
        self.process.join(QUESTION_TIMEOUT)


class Conductor:
    """Starts the nodes, disturbs them, and sums up their reports."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
        self.children = [Child(name, ports, seed * 10 + i) for i, name in enumerate(NAMES)]
        self.began = time.monotonic()
        self.total: Counter[str] = Counter()
        """Counts of ended incarnations, and of the faults that the conductor caused."""
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
        """Records a broken invariant."""
        if not holds:
            self.broken.append(what)

    def run(self, minutes: float) -> None:
        """Disturbs the nodes for this time, then leaves them undisturbed and checks the final invariants."""
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
        """Causes one random fault."""
        child = self.rng.choice(self.children)
        dice = self.rng.random()
        if dice < CUT:
            self.total["cut sockets"] += child.ask("cut")
        elif dice < DISCONNECT:
            self.total["disconnected"] += child.ask("disconnect")
        else:
            self.restart(self.rng.choice(self.children[1:]), kill=dice < KILL)

    def restart(self, child: Child, *, kill: bool) -> None:
        """Restarts a node; keeps its counts and its broken invariants."""
        self.add(child.ask("report"))
        if kill:
            child.kill()
        else:
            child.stop()
        self.total["killed" if kill else "restarted"] += 1
        child.start()

    def add(self, report: dict[str, Any]) -> None:
        """Adds the report of an incarnation that ends."""
        self.total.update(report["counts"])
        self.broken += report["broken"]

    def look(self) -> list[dict[str, Any]]:
        """Prints one line and checks the invariants that hold at any time."""
        reports = [child.ask("report") for child in self.children]
        for child, report in zip(self.children, reports, strict=True):
            self.check(
                report["files"] <= MOST_FILES,
                f"{child.name}: {report['files']} open files, at most {MOST_FILES} allowed",
            )
            for peer, (_, links) in report["connections"].items():
                self.check(
                    0 < links <= POOL + SPARE, f"{child.name}: {links} sockets with {peer}, 1 to {POOL + SPARE} allowed"
                )
            self.most_files = max(self.most_files, report["files"])
        self.memory.append((self.now, reports[0]["memory"]))
        counts = self.total + sum((Counter(report["counts"]) for report in reports), Counter())
        broken = self.broken + [line for report in reports for line in report["broken"]]
        print(
            f"{self.now:6.0f} s  {counts['received']:>9,} messages {counts['acknowledged']:>8,} acks"
            f" {counts['calls']:>8,} calls {counts['events']:>8,} events {counts['reported']:>7,} reported"
            f" {counts['cut sockets']:>5} cuts {counts['killed'] + counts['restarted']:>3} restarts"
            f"  {'/'.join(str(r['memory'] >> 20) for r in reports)} MB"
            f"  {'/'.join(str(r['files']) for r in reports)} files  {len(broken)} broken",
            flush=True,
        )
        for line in dict.fromkeys(line for line in broken if line not in self.said):
            print(f"        {line}", flush=True)
            self.said.add(line)
        return reports

    def settle(self) -> None:
        """Checks the final invariants: no pending requests, full pools, equal ids; then, disconnected, no relations."""
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
            self.check(report["waiting"] == 0, f"{child.name}: {report['waiting']} requests are still pending")
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
            self.check(report["open"] == 0, f"{child.name}: the end of {report['open']} relations was never reported")
            self.check(report["relations"] == 0, f"{child.name}: {report['relations']} relations remain in the table")
            self.check(not report["connections"], f"{child.name} is still connected")
            self.add(report)
            child.stop()

    def all_full(self) -> bool:
        """Returns whether each node has a full pool with each other node."""
        return all(
            [links for _, links in child.ask("report")["connections"].values()] == [POOL] * (len(NAMES) - 1)
            for child in self.children
        )

    def growth(self) -> tuple[float, float]:
        """Returns the median memory of the first node in the third and in the last minute, in bytes."""
        last = self.memory[-1][0]
        third = [size for when, size in self.memory if 2 * MINUTE <= when < 3 * MINUTE]
        final = [size for when, size in self.memory if when >= last - MINUTE]
        return median(third), median(final)

    def kill(self) -> None:
        """Kills the remaining processes."""
        for child in self.children:
            if child.process.is_alive():
                child.kill()


def free_ports(number: int) -> list[int]:
    """Returns free ports below the ephemeral ones: no socket that dials takes them while a node restarts."""
    found: list[int] = []
    for port in range(20_000 + os.getpid() * 16 % 11_000, 32_000):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            found.append(port)
        if len(found) == number:
            return found
    raise RuntimeError(f"fewer than {number} free ports")


def main() -> int:
    """Returns 0, or 1 if an invariant is broken."""
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
    print(f"{'maximum open files':<20}{conductor.most_files:>12,}")
    if given.minutes >= JUDGED_FROM and conductor.memory:
        third, final = conductor.growth()
        print(f"memory of {NAMES[0]}: {third / 2**20:.1f} MB in the third minute, {final / 2**20:.1f} MB in the last")
        conductor.check(final <= GROWTH * third, f"memory has grown by more than {GROWTH - 1:.0%}")
    for line in conductor.broken:
        print(f"BROKEN: {line}")
    print("broken" if conductor.broken else "all invariants hold")
    return 1 if conductor.broken else 0


if __name__ == "__main__":
    sys.exit(main())
