"""What every test gets: a cache of its own, so that no test reads or leaves calibrations or Prefect databases at home."""

import os
import signal

import pytest
from hypothesis import settings

from tests.object_fixtures import flaky, s3, s3_server, s3_settings

__all__ = ["flaky", "s3", "s3_server", "s3_settings"]

settings.register_profile("gemmflow", deadline=None)  # a busy machine is no failure; pytest limits the time of each test
settings.load_profile("gemmflow")
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, also by every process that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)  # so it is in the background of a script


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    before = os.environ.get("GEMMFLOW_CACHE")
    os.environ["GEMMFLOW_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["GEMMFLOW_CACHE"]
    else:
        os.environ["GEMMFLOW_CACHE"] = before
