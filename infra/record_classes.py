"""Write the class archives at set-up: run Kafka and the Spark jobs on simulated prices, and stop them.

    python -m infra.record_classes

The services use free ports and a folder of their own.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from infra import paths, supervision
from infra.class_archives import archive, spark_options
from infra.services import object_store
from infra.stack import Stack, StackError, delete, stack_on_free_ports
from infra.up import EXTRACTORS, services_up
from infra.waiting import wait_until

PROGRAMS = ("kafka", "spark")

LAKE_DEADLINE = 600.0
"""Maximum seconds until the lake has its first objects. Usually it takes a minute, on a busy machine more."""

END_DEADLINE = 300.0
"""Maximum seconds until the JVM of the jobs has written its archive and ended."""

WRITTEN_LAST = ("raw/topic=", "tickers/_delta_log/")
"""Prefixes of the bucket. Once each has an object, the jobs have loaded nearly all of their classes."""


def main() -> None:
    for program in PROGRAMS:
        archive(program).parent.mkdir(parents=True, exist_ok=True)
        archive(program).unlink(missing_ok=True)
    stack = stack_on_free_ports("class-archives")
    stack = replace(stack, settings=replace(stack.settings, lake_batch_seconds=1))
    try:
        services_up(stack, classes="write")
        supervision.start_programs(stack, ["exchange", *EXTRACTORS])
        with jobs(stack) as log:
            if not wait_until(lambda: lake_is_written(stack), deadline=LAKE_DEADLINE):
                raise StackError(
                    f"the jobs have not written both raw/ and tickers/:\n{log.read_text()}"
                )
        supervision.stop_programs(stack, [*EXTRACTORS, "exchange", "kafka"])
    finally:
        supervision.stop(stack)
        delete(stack)
        stack.folder.parent.rmdir()
    for program in PROGRAMS:
        if not archive(program).exists():
            raise StackError(f"the JVM of {program} ended without writing {archive(program)}")


@contextmanager
def jobs(stack: Stack) -> Iterator[Path]:
    """Run the jobs during the block. Yield their log. At the end, wait for the JVM to write its archive.

    Not under supervisord, which kills the jobs 30 s after SIGTERM (stopwaitsecs).
    """
    log = stack.log_folder / "jobs.log"
    environment = os.environ | stack.environment()
    environment |= {"SPARK_SUBMIT_OPTS": spark_options("write")}
    # Only the Python child obeys SIGTERM, and the JVM ends after it, as in supervisord.conf.
    command = f"trap '' TERM; exec {paths.VENV_BIN}/spark-submit spark_jobs/jobs.py"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=paths.PROJECT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(END_DEADLINE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def lake_is_written(stack: Stack) -> bool:
    store = object_store.client(stack.settings)
    return all(
        store.list_objects_v2(Bucket=stack.settings.s3_bucket, Prefix=prefix)["KeyCount"]
        for prefix in WRITTEN_LAST
    )


if __name__ == "__main__":
    main()
