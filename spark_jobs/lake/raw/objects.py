"""Find the objects of `raw/` in a span of time, by listing only the folders of that span.

Names contain the offsets, so no object has to be opened to find a record. Folders are the date and the
hour of Kafka's timestamps, in UTC.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.raw.names import Name, Ranges, own_ids

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DATE_FOLDER = re.compile(r"date=(\d{4}-\d{2}-\d{2})")
HOUR_FOLDER = re.compile(r"hour=(\d{1,2})")


class RawObject(NamedTuple):
    """An object in `raw/`. `hour` is the start of its folder's hour."""

    path: str
    topic: str
    hour: datetime
    name: Name

    @property
    def ranges(self) -> Ranges:
        """First and last offset by partition."""
        return self.name.ranges


class RawFolders:
    """Folders of a topic in `root`, the path of `raw/`."""

    def __init__(self, storage: HadoopFiles, root: str, topic: str) -> None:
        self._storage = storage
        self._topic = topic
        self._top = f"{root}/topic={topic}"

    def objects(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[RawObject]:
        """Yield the objects of the hours in [since, until), oldest hour first. None is no bound."""
        for day in self._days():
            if _is_within(day, DAY, since, until):
                for hour, folder in self._hours(day):
                    if _is_within(hour, HOUR, since, until):
                        yield from self._objects_in(hour, folder)

    def newest(self) -> list[RawObject]:
        """Return the objects of the newest folder with any."""
        for day in reversed(self._days()):
            for hour, folder in reversed(self._hours(day)):
                if found := [*self._objects_in(hour, folder)]:
                    return found
        return []

    def own(self, objects: Iterable[RawObject], topic_id: str | None) -> list[RawObject]:
        """Return the objects that belong to the topic with this id, the one that Kafka has now."""
        found = [*objects]
        names = [each.name for each in found]
        if any(name.topic_id is None for name in names):
            # Whether names without an id belong to it depends on all names of the topic.
            names = [each.name for each in self.objects()]
        own = own_ids(names, topic_id)
        return [each for each in found if each.name.topic_id in own]

    def _objects_in(self, hour: datetime, folder: str) -> Iterator[RawObject]:
        for path in self._storage.files(folder):
            if name := Name.read(path.rpartition("/")[2]):
                yield RawObject(path, self._topic, hour, name)

    def _days(self) -> list[datetime]:
        found = map(DATE_FOLDER.fullmatch, self._storage.folders(self._top))
        return sorted(datetime.fromisoformat(f"{name[1]}T00:00Z") for name in found if name)

    def _hours(self, day: datetime) -> list[tuple[datetime, str]]:
        """Return start and folder of each hour. Some hours have two: version 0.1.0 wrote `hour=08`."""
        folder = f"{self._top}/date={day:%Y-%m-%d}"
        found = [(HOUR_FOLDER.fullmatch(name), name) for name in self._storage.folders(folder)]
        return sorted(
            (day + int(hour[1]) * HOUR, f"{folder}/{name}") for hour, name in found if hour
        )


def _is_within(
    begin: datetime, length: timedelta, since: datetime | None, until: datetime | None
) -> bool:
    return (since is None or begin + length > since) and (until is None or begin < until)
