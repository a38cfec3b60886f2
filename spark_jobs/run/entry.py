"""How a program of this package begins and ends."""

import sys
from collections.abc import Callable

import psycopg2
from confluent_kafka import KafkaException

from core.settings import SettingError
from spark_jobs.errors import JobError


def run(name: str, main: Callable[[], None]) -> None:
    """Ends with status 1 and one line on wrong settings, a service that is away, or a JobError.

    What fails inside a query comes as Spark's exception, with its whole story.
    """
    try:
        main()
    except (SettingError, JobError) as error:
        sys.exit(f"{name}: {error}")
    except psycopg2.OperationalError as error:
        sys.exit(f"{name}: Postgres, DATABASE_URL: {' '.join(str(error).split())}")
    except KafkaException as error:
        sys.exit(f"{name}: Kafka, KAFKA_BOOTSTRAP_SERVERS: {error}")
