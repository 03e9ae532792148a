"""Private values never leave ingest: whatever is written afterwards, none of them is in it."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tests.end_to_end.conftest import PIPELINE, ProjectFolder

# The code has it with braces, `f"secret-owner-{number}"`; a value ends in a digit.
PLANTED = re.compile(rb"secret-owner-\d")
STEPS = 'key:"lines/dataset" or key:"lines/model" or key:"lines/metrics"'
QUOTING_INGEST = (
    'raise RuntimeError("the source is not there")',
    """raise RuntimeError("cannot read " + "secret-owner-" + str(7))""",
)


def contents(file: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is in it where it is compressed."""
    data = file.read_bytes()
    yield data
    if file.suffix == ".parquet":
        yield pd.read_parquet(file).to_csv().encode()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    # Compressed streams of models and of Dagster's snapshots begin like this.
    for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data):
        try:
            yield zlib.decompressobj().decompress(data[found.start() :])
        except zlib.error:
            continue


def assert_nowhere(folder: ProjectFolder, *said: str) -> None:
    files = [file for file in folder.home.rglob("*") if file.is_file()]
    kinds = {file.suffix for file in files}
    assert {".parquet", ".db", ".json", ".model"} <= kinds, kinds
    assert [str(file) for file in files if any(PLANTED.search(text) for text in contents(file))] == []
    assert not any(PLANTED.search(text.encode()) for text in said)


def replaced(text: str, *changes: tuple[str, str]) -> str:
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


def test_a_value_that_was_written_would_be_found(tmp_path: Path) -> None:
    value = "secret-owner-7"
    pd.DataFrame({"owner": [value]}).to_parquet(tmp_path / "rows.parquet", compression="zstd")
    (tmp_path / "events.db").write_bytes(b"before " + zlib.compress(value.encode()))
    (tmp_path / "record.json").write_text(f'{{"error": "{value}"}}')
    with zipfile.ZipFile(tmp_path / "code.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.txt", value)
    files = list(tmp_path.iterdir())
    assert len(files) == 4 and all(any(PLANTED.search(text) for text in contents(file)) for file in files)


def go_all_ways(folder: ProjectFolder) -> list[str]:
    """Apply, train, run and materialise, with subprojects that fail in ingest, in a check and in fit."""
    folder.declare(dict.fromkeys("abcde", 1.0), {"c": "ingest", "d": "expectation", "e": "fit"})
    done = [folder.mlops("apply", "--yes"), folder.mlops("train", "--all", check=False), folder.mlops("run", "a")]
    done.append(folder.mlops("run", "c", "d", "e", check=False))
    done.append(folder.materialize(STEPS, "--partition", "b"))
    done.append(folder.materialize(STEPS, "--partition", "c", check=False))
    assert [one.returncode == 0 for one in done] == [True, False, True, False, True, False]
    records = folder.json("runs")
    assert {record["subproject"] for record in records if record["status"] == "failed"} == {"c", "d", "e"}
    return [text for one in done for text in (one.stdout, one.stderr)]


def test_dropped_private_values_are_written_nowhere(folder: ProjectFolder) -> None:
    folder.write("lines/pipeline.py", replaced(PIPELINE, QUOTING_INGEST))
    said = go_all_ways(folder)
    assert_nowhere(folder, *said)
    assert all("owner" not in snapshot.columns for snapshot in snapshots(folder))


def test_hashed_private_values_are_written_nowhere_in_clear(folder: ProjectFolder) -> None:
    text = replaced(
        PIPELINE,
        QUOTING_INGEST,
        ('features=("x", "z", "trouble")', 'features=("x", "z", "trouble", "owner")'),
        ("X.to_numpy(", 'X.drop(columns="owner").to_numpy('),
        ('"this subproject cannot be fitted"', '"this subproject cannot be fitted: " + " ".join(X["owner"])'),
    )
    folder.write("lines/pipeline.py", text)
    said = go_all_ways(folder)
    assert_nowhere(folder, *said)
    # One hash per value: it is a feature, so it has to stay one.
    hashed = [snapshot["owner"] for snapshot in snapshots(folder)]
    assert hashed and all(owner.nunique() == 120 and owner.str.fullmatch("[0-9a-f]{32}").all() for owner in hashed)


def test_a_private_row_key_is_hashed_in_data_results_and_messages(folder: ProjectFolder) -> None:
    text = replaced(PIPELINE, ('key="row"', 'key="owner"'))
    folder.write("lines/pipeline.py", text)
    folder.mlops("apply", "--yes")
    folder.mlops("train", "a")
    folder.write("lines/pipeline.py", replaced(text, ("{number}", "{number // 2}")))
    failed = folder.mlops("train", "b", check=False)
    assert failed.returncode == 1 and "the row key 'owner' is repeated in 60 of 120 rows; a key" in failed.stdout
    assert_nowhere(folder, failed.stdout, failed.stderr)


def snapshots(folder: ProjectFolder) -> list[pd.DataFrame]:
    frames = [pd.read_parquet(file) for file in (folder.home / "artifacts").rglob("*.parquet")]
    return [frame for frame in frames if "prediction" not in frame.columns]
