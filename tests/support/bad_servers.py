"""Servers that do not implement the protocol: a coroutine per connection, on a loop in a thread."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTE = bytes(1_000_000)


async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads, sends nothing, and never closes first."""
    while await reader.read(65536):
        pass


async def close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts and closes at once."""


async def reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each chunk with an HTTP error."""
    while await reader.read(65536):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def send_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a byte every 0.2 s: the beginning of a frame that never ends."""
    for byte in b"\x57\x01\x00\x00\x80\x00" + bytes(1000):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def send_zeros(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await send_endlessly(writer, MEGABYTE)


async def send_frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends valid frames with a nil endlessly."""
    await send_endlessly(writer, b"\x57\x01\x00\x00\x00\x01\xff" * 10_000)


async def send_first_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends the first byte of a valid frame endlessly."""
    await send_endlessly(writer, b"\x57" * 100_000)


async def send_endlessly(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


async def one_connection(serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            await serve(reader, writer)
        writer.close()
    except asyncio.CancelledError:
        writer.transport.abort()  # drops what the peer does not read
        raise


@contextlib.contextmanager
def running_server(serve: Serve) -> Iterator[int]:
    """Runs the server during the block; yields its port."""
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
