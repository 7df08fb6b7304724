"""cubed: arrays with bounded memory on Zarr, the nearest relative. https://github.com/cubed-dev/cubed

Its executor of processes, one for each core, each with its share of the budget (`allowed_mem` is a worker's) and one BLAS thread, which
the executor sees to itself. Intermediate arrays, where its plan has any, are not compressed, as its manual advises for local disks.
"""

import time
from pathlib import Path

from benchmarks.case import Setting
from benchmarks.peers import create_product
from benchmarks.taken import Taken, peak_bytes


def cubed(folder: Path, setting: Setting) -> Taken:
    """Seconds from the start of the first task on: starting the processes and planning do not count, which is in its favour."""
    import cubed
    import cubed.array_api as xp
    from cubed.runtime.create import create_executor

    from tasks.hardware import usable_cores

    workers, work = usable_cores(), str(folder / "C-work")
    executor = create_executor("processes", {"max_workers": workers})
    reserved = cubed.measure_reserved_mem(executor=executor, work_dir=work)
    spec = cubed.Spec(work, allowed_mem=setting.memory // workers, reserved_mem=reserved, executor=executor, zarr_compressor=None)

    class Watch(cubed.Callback):
        first, peak, tasks = float("inf"), 0, 0

        def on_task_end(self, event: "cubed.TaskEndEvent") -> None:
            self.first = min(self.first, event.function_start_tstamp or self.first)
            self.peak = max(self.peak, event.peak_measured_mem_end or 0)
            self.tasks += event.num_tasks

    watch = Watch()
    a, b = (cubed.from_zarr(str(folder / name), spec=spec) for name in "AB")
    product = xp.matmul(a, b)
    if product.chunksize != setting.chunks:
        product = product.rechunk(setting.chunks)
    cubed.store(product, create_product(folder, setting), callbacks=[watch])
    how = f"{watch.tasks} tasks, {workers} processes"
    return Taken(time.time() - watch.first, peak_bytes() + workers * watch.peak, how=how)
