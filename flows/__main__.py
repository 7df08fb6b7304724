"""``python -m flows`` is ``gemmflow``."""

from flows.cli import main

main()
