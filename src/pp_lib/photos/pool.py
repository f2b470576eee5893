"""Run jobs in threads or in any executor, and outlive the worker that one of them kills.

LibRaw and libjpeg are C, fed with strangers' bytes. Should one crash, it takes its process along:
in a pool of processes a worker, with threads everything. So every photograph is noted before work
on it begins; those in whose midst a process died are suspects, and are prepared each in a process
of its own.
"""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ThreadPoolExecutor, wait

from pp_lib.photos.job import Job, Outcome, run_job, run_job_apart
from pp_lib.photos.journal import Journal

WORKERS_OF_AN_EXECUTOR = 64  # nobody can ask an Executor how many it has


def outcomes_of(
    sources: list[str], job_of: Callable[[str], Job], journal: Journal, executor, workers
) -> Iterator[Outcome]:
    """Yield each source's outcome as it comes, beginning with the suspects of an earlier run."""
    suspects = [source for source in sources if source in journal.in_work]
    others = deque(source for source in sources if source not in journal.in_work)
    for source in suspects:
        yield run_job_apart(job_of(source))
    if executor is not None:
        workers = workers or WORKERS_OF_AN_EXECUTOR
        yield from _pooled(others, job_of, journal, executor, workers)
        return
    workers = workers or n_cores()
    with ThreadPoolExecutor(workers) as threads:
        yield from _pooled(others, job_of, journal, threads, workers)


def n_cores() -> int:
    """Give the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: the cores we may use, not those there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pooled(waiting: deque, job_of, journal: Journal, executor, workers) -> Iterator[Outcome]:
    running, left = {}, []
    try:
        while waiting or running:
            # few enough at once that a crash leaves few suspects, and that a stop is prompt
            while waiting and len(running) < workers + 1:
                job = job_of(waiting.popleft())
                journal.begin(job.source)
                running[executor.submit(run_job, job)] = job
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                job = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenExecutor:
                    left.append(job)
                    continue
                except BaseException as error:
                    error.add_note(f"while preparing {job.source}")
                    raise
                yield outcome
    except BrokenExecutor:  # from submit: nothing more will run there
        left.append(job)
    finally:
        for future in running:
            future.cancel()
    left += [*running.values(), *map(job_of, waiting)] if left else []
    if left:
        warnings.warn(
            f"a worker died and took its pool along: the {len(left)} photographs left are prepared "
            "one by one, each in a process of its own",
            RuntimeWarning,
            stacklevel=2,
        )
    for job in left:
        yield run_job_apart(job)
