import anyio
import pytest

from flows.agent.bearer import Bearer

TOKEN = "a-token-of-some-length"


def served(headers: list[tuple[bytes, bytes]], kind: str = "http") -> tuple[bool, int | None]:
    """Whether the server behind the gate was reached, and the status that the gate answered."""
    reached, status = [], []

    async def app(scope, receive, send) -> None:
        reached.append(scope["type"])

    async def send(message) -> None:
        status.append(message.get("status"))

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    anyio.run(Bearer(app, TOKEN), {"type": kind, "headers": headers, "method": "POST", "path": "/mcp"}, receive, send)
    return bool(reached), status[0] if status else None


def test_the_token_opens() -> None:
    assert served([(b"authorization", f"Bearer {TOKEN}".encode())]) == (True, None)
    assert served([], "lifespan") == (True, None)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", TOKEN.encode())],
        [(b"authorization", f"Bearer {TOKEN}x".encode())],
        [(b"authorization", f"Bearer {TOKEN[:-1]}".encode())],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", f"Bearer {TOKEN}".encode()), (b"authorization", b"Bearer other")],
    ],
)
def test_nothing_else_does(headers: list[tuple[bytes, bytes]]) -> None:
    assert served(headers) == (False, 401)
