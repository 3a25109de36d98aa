"""Closing an asyncio server without the loss of a socket."""

import asyncio


async def close_server(server: asyncio.Server) -> None:
    """Stops listening. Lets asyncio finish what it has accepted in this turn of the loop first: otherwise CPython 3.11 loses
    those sockets, open, and the dialers wait.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    await asyncio.sleep(0)
    server.close()
