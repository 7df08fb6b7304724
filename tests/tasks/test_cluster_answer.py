"""What a worker's task came to, looked at again and again."""

from contextlib import ExitStack
from types import SimpleNamespace
from typing import cast

import pytest
from distributed import Client

from tasks.cluster import Cluster
from tasks.clusters import start_loop
from tasks.in_time import NoAnswer


class Failing:
    """A future of Dask's: its task fails while the first look at it ends without an answer."""

    def __init__(self, error: Exception) -> None:
        self.status, self.error, self.looks = "pending", error, 0

    async def result(self):
        self.looks += 1
        if self.looks == 1:
            self.status = "error"
            raise NoAnswer("no answer within 1 s")
        raise self.error


@pytest.mark.parametrize("error", [ValueError("refused"), TimeoutError("of its own")], ids=["refused", "took too long"])
def test_what_fails_between_two_looks_says_why(error):
    with ExitStack() as closing:
        loop = start_loop(closing)
        asked = cast("Cluster", SimpleNamespace(client=cast("Client", SimpleNamespace(loop=loop)), signs_of_life=["here"]))
        with pytest.raises(type(error), match=str(error)):
            Cluster._answer(asked, "here", Failing(error))
