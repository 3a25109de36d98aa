"""Servers that speak no Ergo: each is a coroutine over one connection, served on a loop in a thread."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTE = bytes(1_000_000)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads and says nothing, never closes first."""
    while await reader.read(65536):
        pass


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts and closes at once."""


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers everything in another language."""
    while await reader.read(65536):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte every 0.2 s, the beginning of a frame that never ends."""
    for byte in b"\x57\x01\x00\x00\x80\x00" + bytes(1000):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await pour(writer, MEGABYTE)


async def frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Well-formed frames without end, each with a nil in it."""
    await pour(writer, b"\x57\x01\x00\x00\x00\x01\xff" * 10_000)


async def magic(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The first byte of a good frame, for ever."""
    await pour(writer, b"\x57" * 100_000)


async def pour(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


async def one_connection(serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await serve(reader, writer)
    writer.close()


@contextlib.contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """The server behind a port of its own, as long as the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=serve.__name__, daemon=True)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(lambda r, w: one_connection(serve, r, w), "127.0.0.1", 0)

    async def end() -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
