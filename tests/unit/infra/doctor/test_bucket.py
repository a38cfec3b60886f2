"""Test what the doctor says of a store that accepts no more objects."""

from infra.doctor.bucket import rights
from tests.support.small_store import small_store


def test_a_full_disk_of_the_store_is_found_once_and_is_no_missing_right() -> None:
    with small_store() as store:
        store.status, store.code = 507, "XMinioStorageFull"
        (found,) = rights(store.settings)
    assert found.problem.startswith("can't write doctor/")
    assert found.problem.endswith(" in the bucket cryptopricesrt: the object store's disk is full")
    assert "DiskFills" in found.remedy
