"""What quality gates and the proof of parity cost beside predicting, on flights and the example's own pipeline.

    python bench/gates.py [--short]

"gates": the eight gates that the example declares, on a model with that many test rows and a champion trained on
older flights; the floor is the champion's predict of the same rows. "without predict" takes the calls of predict (the
champion's, and the one that is timed) off that time. "parity" is a model proven in the process that has only the store,
once that process is warm; the floor is reading the dataset and the results, loading the model's file and predicting the
same rows in this process. "parity, first model" includes the start of the process and its imports. Every value is the
median of several calls; "cpu" is the processor time of the same work, which a busy machine does not lengthen.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

for name in [name for name in os.environ if name.startswith(("MLOPS_", "DAGSTER_"))]:
    del os.environ[name]
# As on a worker: each numeric library has one thread.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
TEST_ROWS = (500, 2000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer repetitions")
    times = 5 if parser.parse_args().short else 25
    folder = Path(tempfile.mkdtemp(prefix="bench-gates-"))
    try:
        for rows in TEST_ROWS:
            measure(Trained.of(rows, folder / str(rows)), rows, times)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Trained:
    """A model and its champion as runs leave them, with the model's files, data and results in a store."""

    judged: Any
    champion: Any
    store: Any
    question: Any
    rows: Any
    read: Any

    @classmethod
    def of(cls, test_rows: int, folder: Path) -> "Trained":
        from mlops_assets.learning.results import rows_with_results
        from mlops_assets.learning.run import RunInput, execute_run
        from mlops_assets.quality.gates import Champion, Judged
        from projects.flight_delays.pipeline import CarrierConfig, FlightDelays, Params
        from resources.artifacts import ArtifactStore
        from resources.datasets import DatasetStore
        from resources.models import dump_model
        from resources.parquet import encode
        from resources.proof import Question
        from resources.verifier import PARITY_ROWS

        pipeline, config, params = FlightDelays(), CarrierConfig(carrier="UA"), Params()
        flights = pipeline.ingest(config, None).drop(columns=["tailnum"]).sort_values("time_hour")
        new, old = flights.iloc[-4 * test_rows :], flights.iloc[-6 * test_rows : -2 * test_rows]
        results = [execute_run(RunInput(pipeline, config, params, 1, data)) for data in (new, old)]
        about = {"project": "flight_delays", "subproject": "UA"}
        files = [dump_model(result.model, pipeline, "projects.flight_delays", about) for result in results]
        store = ArtifactStore(str(folder))
        trained = results[1].results.loc[results[1].results["split"] == "train", "key"].tolist()
        rows = rows_with_results(new, "flight_id", results[0].results, "test")
        judged = Judged(
            pipeline=pipeline,
            rows=rows,
            metrics=results[0].metrics,
            model=results[0].model,
            model_bytes=len(files[0]),
            baseline=results[0].baseline,
            config=config,
            params=params,
            seed=1,
        )
        old_model = results[1].model
        champion = Champion("champion", old_model, lambda given: pipeline.predict(old_model, given), frozenset(trained))
        snapshot, _ = DatasetStore(store, b"").snapshot(new, pipeline.schema, "flight_delays/UA")
        stored = [
            store.put(file, kind).uri for file, kind in ((files[0], ".model"), (encode(results[0].results), ".parquet"))
        ]
        question = Question(store, "flight_delays/UA", "run", snapshot.data_version, *stored, PARITY_ROWS)
        given = rows.head(PARITY_ROWS).drop(columns=["truth", "prediction"])
        return cls(judged, champion, store, question, given, (snapshot.artifact, stored[1]))


def measure(trained: Trained, rows: int, times: int) -> None:
    from mlops_assets.quality.gates import judge
    from projects.flight_delays.project import project
    from resources.models import load_model
    from resources.parquet import decode
    from resources.verifier import Verifier

    judged = replace(trained.judged, champion=trained.champion)
    verdicts = judge(project.gates, judged)
    assert not [v.reason for v in verdicts if v.outcome == "could_not_look"], verdicts
    given = judged.rows.drop(columns=["truth", "prediction", "arr_delay"])
    predict = median(lambda: trained.champion.predict(given), times)
    call = median(lambda: judged.pipeline.predict(judged.model, given.head(100)), times)
    gates = median(lambda: judge(project.gates, judged), times)
    report(f"{len(project.gates)} gates, {rows} test rows", gates[0], predict[0], 2.0)
    report(f"{len(project.gates)} gates, {rows} test rows, cpu", gates[1], predict[1])
    own = max(0.0, gates[1] - predict[1] - call[1])
    report(f"{len(project.gates)} gates, {rows} test rows, without predict, cpu", own)

    def here() -> None:
        for artifact in trained.read:
            decode(trained.store.get(artifact))
        load_model(trained.store.get(trained.question.model)).predict(trained.rows.drop(columns=["arr_delay"]))

    here()
    floor = median(here, times)
    began = perf_counter()
    with Verifier() as verifier:

        def prove() -> None:
            parity = verifier.verify(trained.question)
            assert parity.identical, parity.reason

        prove()
        report(f"parity, {len(trained.rows)} rows, first model", perf_counter() - began)
        report(f"parity, {len(trained.rows)} rows", median(prove, times)[0], floor[0], 2.0)


def median(work: Callable[[], Any], times: int) -> tuple[float, float]:
    """Seconds by the clock and of this processor."""
    taken = []
    for _ in range(times):
        began = perf_counter(), process_time()
        work()
        taken.append((perf_counter() - began[0], process_time() - began[1]))
    return statistics.median(wall for wall, _ in taken), statistics.median(cpu for _, cpu in taken)


def report(case: str, seconds: float, floor: float | None = None, target: float | None = None) -> None:
    line = {"bench": "gates", "case": case, "value": round(seconds * 1000, 2), "unit": "ms"}
    compared: dict[str, float | None] = {"floor": None, "ratio": None}
    if floor:
        compared = {"floor": round(floor * 1000, 2), "ratio": round(seconds / floor, 2)}
    print(json.dumps({**line, **compared, "target": target}), flush=True)


if __name__ == "__main__":
    main()
