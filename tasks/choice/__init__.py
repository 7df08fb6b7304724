"""From what a job needs to where it should run: how long it takes on each device, what that costs, and which to take.

demand, matrix_job, model_job    what a job asks of devices     kept      what is stored of a product
site                             storage and links around them  estimate  one job on so many of one device
rank                             the order, the Pareto front    reasons   why, in words
whatif                           the same for other numbers     errand    how to run what was chosen

Nothing here is measured or run, and no torch, Dask or Prefect is loaded.
"""
