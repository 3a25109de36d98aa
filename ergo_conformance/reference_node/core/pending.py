"""Pending requests: replies and acknowledgements that processes wait for."""

import asyncio
from collections.abc import Callable
from typing import Any

from ...model.ergo import error_values
from ...model.ergo.enp import Words
from ...model.values import Atom, Error
from ..api.errors import ErgoError

_Future = asyncio.Future[Any]


class PendingRequests:
    """Requests by node and reference. One node can't reply for another; a reply without a request is dropped."""

    def __init__(self) -> None:
        self._by_node: dict[Atom, dict[Words, tuple[int, _Future]]] = {}

    async def wait(self, node: Atom, words: Words, process_id: int, timeout: float, begin: Callable[[], object]) -> Any:
        """Calls `begin`, which sends the request, and returns the reply. ErgoError "timed out" after `timeout` seconds."""
        future: _Future = asyncio.get_running_loop().create_future()
        self._by_node.setdefault(node, {})[words] = process_id, future
        try:
            begin()
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise ErgoError(error_values.TIMEOUT) from None
        finally:
            self._by_node.get(node, {}).pop(words, None)

    def answer(self, node: Atom, process_id: int, words: Words, value: Any) -> bool:
        """Completes a request with a reply. False if this process has no such request."""
        future = self._take(node, process_id, words)
        if future is None:
            return False
        if not future.done():
            future.set_result(value)
        return True

    def fail(self, node: Atom, process_id: int, words: Words, error: Error) -> bool:
        """Completes a request with an error. False if this process has no such request."""
        future = self._take(node, process_id, words)
        if future is None:
            return False
        if not future.done():
            future.set_exception(ErgoError(error))
        return True

    def _take(self, node: Atom, process_id: int, words: Words) -> _Future | None:
        requests = self._by_node.get(node)
        found = requests.get(words) if requests is not None else None
        if requests is None or found is None or found[0] != process_id:
            return None
        del requests[words]
        return found[1]

    def fail_all(self, node: Atom, error: Error) -> None:
        """Fails all requests to a node."""
        for _, future in self._by_node.pop(node, {}).values():
            if not future.done():
                future.set_exception(ErgoError(error))

    def __len__(self) -> int:
        return sum(len(requests) for requests in self._by_node.values())
