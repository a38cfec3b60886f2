"""Run a program of this package, and end it with one line on expected errors."""

import os
import sys
from collections.abc import Callable

import psycopg2
from confluent_kafka import KafkaException

from core.no_proxy import exempt_loopback
from core.settings import SettingError
from spark_jobs.errors import JobError


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`. Exit with status 1 and one line if it raises an expected error.

    Expected are SettingError, JobError, psycopg2.OperationalError and KafkaException. Any other error is
    raised with the full traceback, such as Spark's exception for a failure inside a query.
    """
    exempt_loopback(os.environ)
    try:
        main()
    except (SettingError, JobError) as error:
        sys.exit(f"{name}: {error}")
    except psycopg2.OperationalError as error:
        sys.exit(f"{name}: Postgres, DATABASE_URL: {' '.join(str(error).split())}")
    except KafkaException as error:
        sys.exit(f"{name}: Kafka, KAFKA_BOOTSTRAP_SERVERS: {error}")
