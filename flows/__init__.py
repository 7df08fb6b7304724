"""What people start: the flows and the command line.

    from flows import multiply, analyze
    report = multiply(a="A.zarr", b="B.zarr", out="C.zarr", memory="4GiB")

    multiply, analyze    the two calls; gram multiplies a matrix with its transpose
    workflow    the same as a Prefect flow     stages    what both are made of
    engine, server       Prefect without a trace            session, pool    what several runs share
    cli, options         the command line, generated from the values
    agent                the same for programs that ask in steps (gemmflow mcp)

Importing this package does not import Prefect.
"""

from flows.early import prepare, started_as_command

if started_as_command():  # before the slow imports below
    prepare()

from flows.analyze import Analysis, analyze
from flows.gram import gram
from flows.multiply import multiply

__all__ = ["Analysis", "analyze", "gram", "multiply"]
