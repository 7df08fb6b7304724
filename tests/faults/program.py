"""A program that runs the flow itself, for tests: its plan is above every limit, so that it waits for an answer."""

import json
import sys

from flows.workflow import multiply_flow
from tasks.asking import AskAbove
from tasks.job import make_job

if __name__ == "__main__":
    multiply_flow(make_job(**json.loads(sys.argv[1])), AskAbove(seconds=0))
