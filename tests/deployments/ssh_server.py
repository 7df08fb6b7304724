"""An SSH server on loopback for tests: it knows one key, and runs what it is told as this user, each command in a session of its own.

Run as a program: FOLDER, in which it finds `host` and `client.pub`, and writes its port to `port`. A command ends with its connection.
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import asyncssh


async def _serve_command(process: asyncssh.SSHServerProcess[str]) -> None:
    command = subprocess.Popen(
        ["/bin/sh", "-c", process.command or ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        await process.redirect(stdin=command.stdin, stdout=command.stdout, stderr=command.stderr)
        ended = asyncio.create_task(asyncio.to_thread(command.wait))
        gone = asyncio.create_task(process.channel.wait_closed())
        await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            process.exit(ended.result())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)


async def main(folder: Path) -> None:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(folder / "host")],
        authorized_client_keys=str(folder / "client.pub"),
        process_factory=_serve_command,
    )
    (folder / "port.new").write_text(str(server.sockets[0].getsockname()[1]))
    (folder / "port.new").rename(folder / "port")
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
