"""A program that starts another one, which nobody's end reaches, and ends: ``python detach.py PROGRAM ARGUMENT ...``

The other one is in a session of its own and no child of whoever called this: no signal to a group, no terminal that closes and no
search for child processes finds it. This file imports nothing of gemmflow, so it takes 20 ms.
"""

import os
import sys

if __name__ == "__main__":
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.argv[1], sys.argv[1:])
    os._exit(0)
