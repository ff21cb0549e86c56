"""The plan of the house: who may import whom, and what keeps MLflow's name free."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ORDER = ["embeddings", "models", "serve", "pipeline"]
UNKNOWN_TO = {
    "embeddings": {"mlflow", "fastapi", "uvicorn", "ray"},
    "models": {"mlflow", "fastapi", "uvicorn", "ray"},
    "serve": {"ray"},
}


def imports(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ORDER)
def test_imports_run_one_way(house, package):
    above = set(ORDER[ORDER.index(package) + 1 :]) | UNKNOWN_TO.get(package, set())
    for file in (house / package).rglob("*.py"):
        if file.name == "ray_serve.py":
            # Ray imports it, and nothing else does.
            continue
        assert not above & set(imports(file)), f"{file.relative_to(house)} imports what it may not know"


def run(code, cwd, home, path=()):
    command = [sys.executable, "-c", code]
    environment = {"PATH": "", "PYTHONPATH": ":".join(map(str, path)), "HOME": str(home)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True).stdout.strip()


WHERE = "import mlflow, mlflow.pyfunc; print(mlflow.__file__)"


def test_the_folder_mlflow_does_not_hide_the_package(house, tmp_path):
    assert (house / "mlflow" / "MLproject").is_file()
    assert not list((house / "mlflow").rglob("__init__.py"))
    found = Path(run(WHERE, cwd=house, home=tmp_path))
    assert house / "mlflow" not in found.parents and found.name == "__init__.py"


def test_a_folder_of_trained_models_does_not_hide_the_package(house, tmp_path):
    (tmp_path / "models/reviews").mkdir(parents=True)
    where = run("from importlib.util import find_spec; print(find_spec('models').origin)", cwd=tmp_path, home=tmp_path)
    assert where.endswith("__init__.py")


def test_a_wheel_leaves_mlflow_alone_and_carries_the_configs(house, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, house],
        check=True,
    )
    (wheel,) = tmp_path.glob("telmo-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(ORDER)
    assert {"pipeline/configs/docs-bilm.yaml", "serve/mlflow_model.py", "serve/client/__init__.py"} <= set(names)
    page = {f"serve/page/{file.name}" for file in (house / "serve" / "page").iterdir() if file.suffix != ".png"}
    assert page <= set(names)
    found = Path(run(WHERE, cwd=tmp_path / "site", home=tmp_path, path=[tmp_path / "site"]))
    assert tmp_path not in found.parents
    where = run("import serve; print(serve.__file__)", cwd=tmp_path, home=tmp_path, path=[tmp_path / "site"])
    assert tmp_path in Path(where).parents


def test_help_and_config_errors_load_nothing_heavy(house, tmp_path):
    (tmp_path / "bad.yaml").write_text("nmae: x\n")
    code = f"""
import sys
from pipeline.cli import main
bad = r"{tmp_path / "bad.yaml"}"
wrong = ["train", bad], ["tune", bad], ["evaluate", "none", bad], ["predict", "none", "a"]
wrong += (["embed", "no.txt", "o.hdf5", "--source", "no"],)
for arguments in (["--help"], *wrong):
    try:
        main(arguments)
    except SystemExit as end:
        print(end.code)
print(sorted({{"tensorflow", "keras", "mlflow", "spacy", "sklearn", "scipy", "optuna"}} & set(sys.modules)))
"""
    lines = run(code, cwd=house, home=tmp_path).splitlines()
    assert lines[-1] == "[]"
    assert [line for line in lines if line in ("0", "1", "2")] == ["0", "2", "2", "2", "1", "1"]


def test_no_file_names_a_machine_or_an_index(house):
    for requirements in house.glob("requirements*.txt"):
        text = requirements.read_text("utf-8")
        assert "://" not in text and "--index-url" not in text and "--find-links" not in text
        assert "--hash=sha256:" in text
