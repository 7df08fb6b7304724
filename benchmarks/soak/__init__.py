"""Mixed jobs for as long as is asked, with a fault in most of them: `python -m benchmarks.soak`, or `make soak`.

jobs.py      what is run: one row a kind of job
faults.py    what happens to it: one row a fault
site.py      where: a scheduler and workers that outlive every job, and how much memory they hold
growth.py    whether that grows
trial.py     one job, its fault, the same command again until it is done, and whether anything was lost
__main__.py  trials until the time is over; what came of them
"""
