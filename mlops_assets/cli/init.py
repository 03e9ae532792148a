"""``mlops init``: a new project that runs at once."""

from pathlib import Path
from string import Template
from typing import Annotated

import typer

from mlops_assets.cli.printing import console
from partitions.errors import MlopsError
from partitions.names import check_project_name

TEMPLATES = Path(__file__).parent / "template"


def init(name: Annotated[str, typer.Argument(help="Lower case letters, digits and _.", show_default=False)]) -> None:
    """Make a new project in this folder: a pipeline, its configuration as code, and its Dagster definitions."""
    check_project_name(name)
    folder = Path(name)
    if folder.exists():
        raise MlopsError(f"{folder} exists already in {Path.cwd()}: choose another name")
    words = {"name": name, "package": name, "class_name": "".join(part.capitalize() for part in name.split("_"))}
    texts = {"__init__.py": f'"""The project {name}."""\n'}
    for template in sorted(TEMPLATES.glob("*.py.txt")):
        texts[template.name.removesuffix(".txt")] = Template(template.read_text()).substitute(words)
    _write(folder, texts)
    _list_in_workspace(Path("workspace.yaml"), f"{name}.definitions")
    files = ", ".join(f"{name}/{file}" for file in texts if file != "__init__.py")
    console.print(
        f"made {files}\n\n  mlops apply --yes --project {name}\n  mlops run --all --project {name}", highlight=False
    )


def _write(folder: Path, texts: dict[str, str]) -> None:
    """All files or none: they are written beside, and moved into place as one folder."""
    making = folder.with_name(f".{folder.name}.new")
    making.mkdir()
    for file, text in texts.items():
        (making / file).write_text(text)
    making.rename(folder)


def _list_in_workspace(workspace: Path, definitions: str) -> None:
    entry = f"  - python_module:\n      module_name: {definitions}\n      working_directory: .\n"
    if not workspace.exists():
        workspace.write_text(f"load_from:\n{entry}")
    elif definitions not in workspace.read_text():
        with workspace.open("a") as file:
            file.write(entry)
