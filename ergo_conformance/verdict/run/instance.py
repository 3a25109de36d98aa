"""A live target in one configuration, which is started again after it was lost."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Any, Final

from ...errors import UsageError
from ...peers.violation import ViolationError
from ...targets.base import RunningTarget, Target
from .context import Context
from .lag import HEARTBEAT

RECOVERY_TIMEOUT: Final = 30.0
"""Seconds in which a target that can't be started again has to serve again."""
SECOND_RECOVERY_TIMEOUT: Final = 5.0
"""The same for a target that did not recover before."""


async def recovers(running: RunningTarget, within: float) -> bool:
    """Tells whether the target serves a correct peer within so many seconds."""
    context = Context(running, random.Random("recovery"))
    deadline = asyncio.get_running_loop().time() + within
    try:
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(ViolationError):
                await context.still_serves()
                return True
            await asyncio.sleep(HEARTBEAT)
    finally:
        context.close()
    return False


class Instance:
    """A running target and its configuration.

    `fresh`: no case has run on it since its start. `lost`: it has ended, or accepts no connection. `gone`: a sentence once it
    can't be restored.
    """

    def __init__(self, target: Target, running: RunningTarget, config: Mapping[str, Any]) -> None:
        self.target, self.running, self.config = target, running, config
        self.fresh, self.lost = True, False
        self.gone = ""

    @classmethod
    async def start(cls, target: Target, config: Mapping[str, Any], like: RunningTarget | None) -> "Instance":
        """Starts a target. `like`: a running one from which it takes what a probe found. Raises as Target.start does."""
        running = await target.start(config)
        if like is not None:
            running.serial, running.silent = like.serial, like.silent
            running.agents = running.agents or like.agents
        return cls(target, running, config)

    async def restore(self, *, allowed: bool) -> bool:
        """Starts a lost target again, or waits until it serves again. Returns False if it is gone.

        `allowed`: False if it was lost too often.
        """
        if self.gone or not self.lost:
            return not self.gone
        if not allowed:
            self.gone = "the target was lost too often, so it is not tested further"
        elif self.target.restarts:
            await self._restart()
        elif not await recovers(self.running, RECOVERY_TIMEOUT):
            self.gone = "the target does not serve correct peers any more, so it can't be judged"
        self.lost = bool(self.gone)
        return not self.gone

    async def _restart(self) -> None:
        old = self.running
        await old.stop()
        try:
            renewed = await Instance.start(self.target, self.config, old)
        except UsageError as error:
            self.gone = f"the target does not start again: {error}"
        else:
            self.running, self.fresh = renewed.running, True

    async def recovered(self) -> bool:
        """Tells whether a target that can't be started again serves correct peers, even if it did not before."""
        within = SECOND_RECOVERY_TIMEOUT if self.gone else RECOVERY_TIMEOUT
        if await recovers(self.running, within):
            self.gone, self.lost = "", False
            return True
        self.gone = self.gone or "the target does not serve correct peers any more, so it can't be judged"
        return False
