"""A mutant as a process target: `python mutant_process.py NAME`, or `none` for the node without a fault."""

import asyncio
import json
import os
import signal
import sys
from contextlib import nullcontext

from ergo_conformance.mutants.mutant import Mutant
from ergo_conformance.mutants.registry import mutant_named
from ergo_conformance.reference_node.target import config


async def serve(mutant: Mutant | None) -> None:
    """Runs the node until SIGTERM."""
    target = json.loads(os.environ["ERGO_TARGET"])
    settings = config.config_of(target)
    node = await (mutant.node_config(settings) if mutant else settings).make_node().start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    supervisor = config.host_agents(node, target)
    print("READY", json.dumps(config.ready(node, target, supervisor)), flush=True)  # noqa: T201  the target's line
    await stop.wait()
    await node.stop()


def main(name: str) -> None:
    """Runs the mutant of this name."""
    mutant = None if name == "none" else mutant_named(name)
    with mutant.installed() if mutant else nullcontext():
        asyncio.run(serve(mutant))


if __name__ == "__main__":
    main(sys.argv[1])
