"""The program of the temporary Prefect server: ``python api_process.py FD`` serves the API on an inherited, listening socket.

It ends when its parent ends, however that happens: the parent holds the other end of standard input, and end of file
means that nobody needs this server any more. Prefect's own temporary server stays behind when its parent gets SIGTERM.
"""

import os
import signal
import socket
import sys
import threading


def follow_parent() -> None:
    """Stop this process gracefully when standard input ends."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def serve(descriptor: int) -> None:
    """Serve the Prefect API on the listening socket `descriptor` until a signal arrives."""
    threading.Thread(target=follow_parent, daemon=True).start()
    import uvicorn  # noqa: PLC0415 - slow; the parent is watched first
    from prefect.server.api.server import create_app  # noqa: PLC0415

    config = uvicorn.Config(create_app, factory=True, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    serve(int(sys.argv[1]))
