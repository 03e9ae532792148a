"""The folder that holds everything the embedded mode writes: settings, event log, artifacts and the secret."""

import contextlib
import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from partitions.errors import MlopsError

SECRET_BYTES = 32
SHORTEST_SECRET = 16

DAGSTER_YAML = """\
# Written once, when this home was made. It is yours to change: it is never written again while it exists.

telemetry:
  enabled: false

nux:
  enabled: false

# One run carries many subprojects and spreads them over all cores itself: more runs at once only compete for them.
concurrency:
  runs:
    max_concurrent_runs: 4

# Several sensors and schedules are due at the same moment, and a tick that waits its turn may miss its minute.
sensors:
  use_threads: true
  num_workers: 4
schedules:
  use_threads: true
  num_workers: 4
backfills:
  use_threads: true
  num_workers: 2

# A sensor that looks every few seconds and finds nothing to do leaves most of the rows in the tick table.
retention:
  schedule:
    purge_after_days:
      skipped: 30
      started: 30
  sensor:
    purge_after_days:
      skipped: 2
      started: 7
      success: 30
      failure: 90

# A run that never starts, or never ends after it was asked to, is marked as failed instead of holding its place.
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  cancel_timeout_seconds: 180
  poll_interval_seconds: 60

# Libraries for machine learning import slowly on a cold disk.
code_servers:
  local_startup_timeout: 180

# Runs, events and schedules. Dagster's own tables, written faster: MLOPS_EVENT_LOG=stock in the environment uses
# Dagster's own storage for the same data.
storage:
  custom:
    module: mlops_assets.tracking.home_storage
    class: HomeStorage
    config:
      {storage}
"""

# The folder, and the address with its password, stay out of the file: a home may be moved, and shown.
ON_SQLITE = "base_dir: {env: DAGSTER_HOME}"
ON_POSTGRES = "postgres_url: {env: MLOPS_DATABASE_URL}"

# Batched events and one planned event per asset: a run over 1,000 subprojects is 40 times faster with both.
DAGSTER_SETTINGS = {
    "DAGSTER_EVENT_BATCH_SIZE": "1000",
    "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true",
    "DAGSTER_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True)
class Home:
    """One MLOPS_HOME. ``path`` is made absolute, so that a change of the working folder does not move it."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(os.path.abspath(Path(self.path).expanduser())))

    @classmethod
    def default(cls) -> "Home":
        """The folder that MLOPS_HOME names; without it ``.mlops`` in the working folder."""
        return cls(Path(os.environ.get("MLOPS_HOME") or ".mlops"))

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its settings and storage: DAGSTER_HOME where a person has set it, else inside this home.

        A DAGSTER_HOME that was only derived from MLOPS_HOME, by ``prepare`` of this or another home, says nothing.
        """
        chosen = os.environ.get("DAGSTER_HOME")
        if not chosen:
            return self.path / "dagster"
        folder = Path(os.path.abspath(Path(chosen).expanduser()))
        home = os.environ.get("MLOPS_HOME")
        derived = home is not None and folder == Home(Path(home)).path / "dagster"
        return self.path / "dagster" if derived else folder

    @property
    def artifacts_url(self) -> str:
        """Where artifacts are kept: the URL or folder that MLOPS_ARTIFACTS names, else inside this home."""
        return os.environ.get("MLOPS_ARTIFACTS") or str(self.path / "artifacts")

    @property
    def ledger_url(self) -> str:
        """The database with deployments: MLOPS_LEDGER_URL, else the one with the events, else a file of this home."""
        chosen = os.environ.get("MLOPS_LEDGER_URL")
        if chosen:
            return chosen
        settings = self.dagster_home / "dagster.yaml"
        made_with = settings.read_text() if settings.exists() else self._storage(settings)
        if ON_POSTGRES in made_with:
            self._storage(settings)  # says so where the address is not given
            return os.environ["MLOPS_DATABASE_URL"]
        return f"sqlite:///{self.path / 'ledger.db'}"

    def prepare(self) -> None:
        """Create the folders and dagster.yaml where they are absent, and point this process and its children here.

        A new home keeps events in SQLite files, or in the database that MLOPS_DATABASE_URL names at this moment; later
        only its address is read. Safe for processes that start at once; what exists is left as it is.
        """
        dagster_home = self.dagster_home
        chosen = self._storage(dagster_home / "dagster.yaml")
        try:
            dagster_home.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(parents=True, exist_ok=True)
            # The home often lies inside a repository, and holds the secret.
            create_once(self.path / ".gitignore", b"*\n")
            create_once(dagster_home / "dagster.yaml", DAGSTER_YAML.replace("{storage}", chosen).encode())
        except OSError as error:
            raise MlopsError(
                f"MLOPS_HOME {self.path} cannot be used: {error.strerror} ({error.filename}); "
                "set MLOPS_HOME to a folder you may write to"
            ) from error
        os.environ["MLOPS_HOME"] = str(self.path)
        os.environ["DAGSTER_HOME"] = str(dagster_home)
        for name, value in DAGSTER_SETTINGS.items():
            os.environ.setdefault(name, value)

    def _storage(self, settings: Path) -> str:
        """The storage that a new home gets: SQLite, or the Postgres database that MLOPS_DATABASE_URL names.

        A home keeps the one it was made with: what it holds does not move by setting a variable.
        """
        url = os.environ.get("MLOPS_DATABASE_URL", "")
        if settings.exists() and ON_POSTGRES in settings.read_text() and not url:
            raise MlopsError(
                f"{settings} keeps its events in Postgres: set MLOPS_DATABASE_URL to the address of the database"
            )
        if not url:
            return ON_SQLITE
        if not url.startswith("postgresql://"):
            scheme = url.partition(":")[0]
            raise MlopsError(
                f"MLOPS_DATABASE_URL starts with {scheme!r}: give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
                "or unset it to keep events in SQLite files"
            )
        return ON_POSTGRES

    def secret(self) -> bytes:
        """The 32 bytes that key the hashes of private values: from MLOPS_SECRET, else made once and kept in this home.

        Another secret gives other hashes, so data versions with hashed columns change with it.
        """
        given = os.environ.get("MLOPS_SECRET")
        if given is not None:
            if len(given) < SHORTEST_SECRET:
                raise MlopsError(
                    f"MLOPS_SECRET has {len(given)} characters: give at least {SHORTEST_SECRET}, "
                    "or unset it to use the secret kept in MLOPS_HOME"
                )
            return hashlib.sha256(given.encode()).digest()
        file = self.path / "secret"
        if not file.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            create_once(file, secrets.token_bytes(SECRET_BYTES), mode=0o600)
        secret = file.read_bytes()
        if len(secret) != SECRET_BYTES:
            raise MlopsError(
                f"the secret {file} holds {len(secret)} bytes instead of {SECRET_BYTES}: restore it from a backup "
                "(a new one gives new hashes to private values)"
            )
        return secret


def create_once(file: Path, content: bytes, mode: int = 0o644) -> None:
    """Write ``content`` unless ``file`` exists. Whoever sees the file sees all of it, and its first content stays."""
    if file.exists():
        return
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.chmod(draft, mode)
            os.fsync(stream.fileno())
        # A link fails where a rename would replace: of two processes at once the first one wins.
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        os.unlink(draft)
