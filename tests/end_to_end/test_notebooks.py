"""The example notebook runs from its first cell to its last, and finds what it says it finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))

# Every cell in order in one namespace, with what its last expression shows, as in a notebook. Warnings are errors.
RUNNER = """
import ast, json, sys, warnings
warnings.simplefilter("error")
names = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1]))["cells"]):
    if cell["cell_type"] != "code":
        continue
    body = ast.parse("".join(cell["source"]), f"cell {number}")
    shown = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
    exec(compile(body, f"cell {number}", "exec"), names)
    if shown is not None:
        value = eval(compile(ast.Expression(shown.value), f"cell {number}", "eval"), names)
        show = getattr(value, "_repr_html_", None)
        print(repr(value), file=sys.stderr)
        assert show is None or "http" not in show(), "a notebook loads nothing from the network"
fit, difference, replayed = names["fit"], names["difference"], names["replayed"]
print(json.dumps({
    "same": names["same"], "changed": sorted(names["changed"]), "step": difference.step,
    "columns": list(difference.columns), "fit": fit.to_dict(), "repaired": names["repaired"].metrics["rmse"],
    "replayed": replayed.identical,
}))
"""


def test_there_is_a_notebook_and_it_is_kept_without_outputs() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == ["why-is-this-run-worse"]
    for notebook in NOTEBOOKS:
        code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
        assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_notebook_finds_out_why_one_run_is_worse(tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
    environment = {**clean, "MLOPS_BACKEND": "processes", "MLOPS_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", RUNNER, str(NOTEBOOKS[0])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same"] == {"code": True, "data": True, "seed": True}
    assert found["changed"] == ["l2_regularization", "learning_rate", "max_iter", "min_samples_leaf"]
    assert (found["step"], found["columns"]) == ("model", ["prediction"])
    train, test = found["fit"]["train rmse"], found["fit"]["test rmse"]
    assert train["worse"] < 0.2 * train["better"] and test["worse"] > 1.1 * test["better"]
    assert found["repaired"] < 1.05 * test["better"]
    assert found["replayed"] is True
