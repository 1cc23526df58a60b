"""A unix socket whose server says what a test tells it to: the client and the bytes are real."""

import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def server(path, *answers, hang=False):
    """Serve connections: after each request the next answer, then the end (or silence)."""
    requests = []
    done = asyncio.Event()

    async def serve(reader, writer):
        try:
            for answer in answers:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
            if hang:
                await done.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_unix_server(serve, path)
    async with listening:
        try:
            yield requests
        finally:
            done.set()


def ok(body, *more):
    """Return a plain answer."""
    head = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join((*head, b"", body))


def chunked(*chunks):
    """Return an answer in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
