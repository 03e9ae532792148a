"""Dataset snapshots: rows that can be read again exactly, under a version that follows from their content."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from partitions.errors import ArtifactError, DataError, UnknownName, nearest
from partitions.schema import DataSchema, Treatment
from partitions.values import Value
from resources.artifacts import Artifact, ArtifactStore
from resources.content import canonical, content_digest
from resources.parquet import decode, decode_table, encode_table, from_table
from resources.private import treat

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SHORTEST_PREFIX = 6


class Snapshot(Value):
    """One data version of one subproject.

    data_version: digest of the content; rows in another order, or encoded otherwise, are the same version.
    columns: the pandas type of each column, in order, private columns as they are stored.
    private: how each private column was treated.
    time_range: the first and the last time, where the schema names a time.
    created_at: when this content was first seen for this owner.
    is_new: whether this call of ``DatasetStore.snapshot`` was the one to store it.
    """

    data_version: str = Field(pattern=r"^[0-9a-f]{64}$")
    owner: str
    key: str
    rows: int
    columns: dict[str, str]
    private: dict[str, Treatment] = {}
    time_range: tuple[datetime, datetime] | None = None
    artifact: Artifact
    created_at: datetime
    is_new: bool = False


@dataclass(frozen=True)
class DatasetStore:
    """The snapshots of every owner ("project/subproject"), as Parquet artifacts with a manifest document each.

    ``secret`` keys the hashes of private values; it is not shown.
    """

    artifacts: ArtifactStore
    secret: bytes = field(repr=False)

    def snapshot(self, frame: "pd.DataFrame", schema: DataSchema, owner: str) -> tuple[Snapshot, "pd.DataFrame"]:
        """Store the rows unless this content is stored already; with the rows exactly as ``read`` returns them.

        Private columns are treated before anything is written. Raises DataError for rows that cannot be stored, and
        leaves nothing half written.
        """
        rows, table = canonical(treat(frame, schema, self.secret), schema.key, owner)
        data_version = content_digest(rows)
        manifest = _manifest(owner, data_version)
        known = self._known(manifest)
        if known is not None and self.artifacts.has(known.artifact):
            return known, rows
        data = encode_table(table)
        _check_stored_exactly(data, table, rows, owner)
        snapshot = Snapshot(
            data_version=data_version,
            owner=owner,
            key=schema.key,
            rows=len(rows),
            columns={str(name): str(dtype) for name, dtype in rows.dtypes.items()},
            private=schema.treatments,
            time_range=_time_range(rows, schema.time),
            artifact=self.artifacts.put(data, ".parquet"),
            created_at=known.created_at if known is not None else datetime.now(UTC),
        )
        self.artifacts.write_document(manifest, snapshot.model_dump_json(exclude={"is_new"}, indent=1))
        return snapshot.model_copy(update={"is_new": True}), rows

    def read(self, owner: str, data_version: str) -> "pd.DataFrame":
        """The rows of a data version, or of the one that begins with these 6 or more characters.

        The bytes and the content are both checked: ArtifactError if either is not what it was.
        """
        snapshot = self.find(owner, data_version)
        # Before it is read: a run on it that is not known yet still needs it when it is.
        self.artifacts.touch(snapshot.artifact)
        rows = decode(self.artifacts.get(snapshot.artifact))
        found = content_digest(rows)
        if found != snapshot.data_version:
            raise ArtifactError(
                f"{owner}: artifact {snapshot.artifact.uri} holds data version {found}, not {snapshot.data_version}: "
                "restore its manifest from a backup, or take a new snapshot"
            )
        return rows

    def find(self, owner: str, data_version: str) -> Snapshot:
        """The snapshot of a data version or of an unambiguous prefix of one; UnknownName offers the nearest."""
        if len(data_version) == 64 and _is_hexadecimal(data_version):
            known = self._known(_manifest(owner, data_version))
            if known is not None:
                return known
        versions = [path.rsplit("/", 1)[1].removesuffix(".json") for path in self._manifests(owner)]
        matches = [version for version in versions if version.startswith(data_version)]
        if len(data_version) < SHORTEST_PREFIX:
            raise UnknownName(
                f"{owner}: data version {data_version!r} is too short; give at least {SHORTEST_PREFIX} characters"
            )
        if not matches:
            raise UnknownName(f"{owner}: {nearest(data_version, versions, noun='data version')}")
        if len(matches) > 1:
            raise UnknownName(f"{owner}: data version {data_version!r} is ambiguous: {', '.join(matches[:4])}")
        return self._load(_manifest(owner, matches[0]))

    def versions(self, owner: str) -> list[Snapshot]:
        """All snapshots of an owner, the one first seen last at the end; none is an empty list."""
        snapshots = [self._load(path) for path in self._manifests(owner)]
        return sorted(snapshots, key=lambda snapshot: (snapshot.created_at, snapshot.data_version))

    def _manifests(self, owner: str) -> list[str]:
        return self.artifacts.list_documents(f"datasets/{owner}")

    def _known(self, manifest: str) -> Snapshot | None:
        return self._load(manifest) if self.artifacts.has_document(manifest) else None

    def _load(self, manifest: str) -> Snapshot:
        try:
            return Snapshot.model_validate_json(self.artifacts.read_document(manifest))
        except ValidationError as error:
            raise ArtifactError(
                f"document {manifest} in {self.artifacts.place} is no dataset manifest: restore it from a backup, or "
                "delete it and take a new snapshot"
            ) from error


def _check_stored_exactly(data: bytes, table: "pa.Table", rows: "pd.DataFrame", owner: str) -> None:
    read = decode_table(data)
    # Arrow's comparison is ten times faster than ours, and never equal where a value is NaN.
    if read.equals(table, check_metadata=True) or content_digest(from_table(read)) == content_digest(rows):
        return
    different = _differences(rows, from_table(read))
    raise DataError(f"{owner}: {different} cannot be stored exactly; give it a plain type in ingest")


def _manifest(owner: str, data_version: str) -> str:
    return f"datasets/{owner}/{data_version}.json"


def _is_hexadecimal(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)


def _time_range(rows: "pd.DataFrame", time: str | None) -> tuple[datetime, datetime] | None:
    import pandas as pd

    if time is None or time not in rows or not pd.api.types.is_datetime64_any_dtype(rows[time].dtype):
        return None
    first, last = rows[time].min(), rows[time].max()
    if first is pd.NaT:
        return None
    # Nanoseconds are cut: a datetime has none.
    return first.floor("us").to_pydatetime(), last.floor("us").to_pydatetime()


def _differences(rows: "pd.DataFrame", read: "pd.DataFrame") -> str:
    changed: list[Any] = [name for name in rows if content_digest(rows[[name]]) != content_digest(read[[name]])]
    return f"column {changed[0]!r} ({rows[changed[0]].dtype})" if changed else "the order of columns"
