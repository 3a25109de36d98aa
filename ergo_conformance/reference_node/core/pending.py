"""Who waits for an answer."""

import asyncio
from collections.abc import Callable
from typing import Any

from ...model.ergo.enp import Words
from ...model.values import Error
from ..api.errors import ErgoError


class Waiters:
    """Who waits for an answer, by the words of the reference. Answers that nobody waits for are dropped."""

    def __init__(self) -> None:
        self._waiting: dict[Words, tuple[int, asyncio.Future[Any]]] = {}

    def add(self, words: Words, process_id: int) -> asyncio.Future[Any]:
        """A future for the answer to this process."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[words] = process_id, future
        return future

    def forget(self, words: Words) -> None:
        """Nobody waits any more."""
        self._waiting.pop(words, None)

    def answer(self, words: Words, process_id: int, value: Any) -> bool:
        """Hands an answer over; False if this process does not wait for it."""
        return self._end(words, process_id, lambda future: future.set_result(value))

    def fail(self, words: Words, process_id: int, error: Error) -> bool:
        """Hands an error over."""
        return self._end(words, process_id, lambda future: future.set_exception(ErgoError(error)))

    def _end(self, words: Words, process_id: int, finish: Callable[[asyncio.Future[Any]], None]) -> bool:
        waiting = self._waiting.get(words)
        if waiting is None or waiting[0] != process_id:
            return False
        del self._waiting[words]
        if not waiting[1].done():
            finish(waiting[1])
        return True

    def fail_all(self, error: Error) -> None:
        """Nothing will come any more."""
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(ErgoError(error))

    def __len__(self) -> int:
        return len(self._waiting)
