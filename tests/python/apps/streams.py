"""asyncio streams over TLS.

  streams.py serve CERTIFICATE KEY            an echo; prints its port, and at the end how many were there at once
  streams.py connect PORT CA CONNECTIONS      that many connections, all open at a time, each with some turns of talk
"""

import asyncio
import hashlib
import json
import random
import ssl
import sys

import surroundings

SIZES = [1, 16384, 100_000]


class Echo:
    def __init__(self):
        self.now, self.most, self.total = 0, 0, 0

    async def serve(self, reader, writer):
        self.now, self.total = self.now + 1, self.total + 1
        self.most = max(self.most, self.now)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            self.now -= 1
            writer.close()
            await writer.wait_closed()


async def serve(certificate, key):
    echo, loop = Echo(), asyncio.get_running_loop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    await server.wait_closed()
    print(json.dumps({"most": echo.most, "total": echo.total, "left": echo.now}), flush=True)


class Together:
    """Nobody goes on before everybody has come."""

    def __init__(self, number):
        self.missing, self.all_here = number, asyncio.Event()

    async def wait(self):
        self.missing -= 1
        if self.missing == 0:
            self.all_here.set()
        await self.all_here.wait()


async def talk(number, port, context, together, at_a_time):
    async with at_a_time:  # else a listening queue overflows, and TCP takes seconds to try again
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    await together.wait()
    for size in SIZES:
        data = random.Random(number * size).randbytes(size)
        writer.write(data)
        echo, _ = await asyncio.gather(reader.readexactly(size), writer.drain())
        if hashlib.sha256(echo).digest() != hashlib.sha256(data).digest():
            raise ValueError(f"connection {number} got another's {size} bytes, or broken ones")
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return version


async def connect(port, ca, connections):
    context = ssl.create_default_context(cafile=ca)
    together, at_a_time = Together(int(connections)), asyncio.Semaphore(100)
    versions = await asyncio.gather(*(talk(number, int(port), context, together, at_a_time)
                                      for number in range(int(connections))))
    print(json.dumps({"done": len(versions), "versions": sorted(set(versions))}))




def main():
    verb, *arguments = sys.argv[1:]
    asyncio.run({"serve": serve, "connect": connect}[verb](*arguments))
    surroundings.check()


if __name__ == "__main__":
    main()
