import hashlib
import json

import pytest

from embeddings.convert import convert_bilm
from embeddings.errors import SourceError
from embeddings.source import find_source, load_bilm
from pipeline.cli import main
from pipeline.inspect import inspect_stage


def test_a_biLM_is_shown_with_all_that_makes_it(shared):
    folder = shared / "fixtures/bilm"
    found = inspect_stage(str(folder))
    assert found["form"] == "bilm-tf files in a folder"
    assert found["files"] == {"options.json": 417, "lm_weights.hdf5": 450_896}
    assert found["layers"] == "2 in each direction, 64 cells projected to 16"
    assert found["vectors"] == "3 layers of 32 numbers a word"
    # Row 0 of the characters, padding, is not learned.
    assert found["parameters"] == load_bilm(folder).count_params() - 4
    assert found["vocabulary"]["words"] == 458
    assert found["options"]["lstm"]["cell_clip"] == 3
    files = [(folder / name).read_bytes() for name in ("options.json", "lm_weights.hdf5")]
    assert found["checksum"] == hashlib.sha256(b"".join(hashlib.sha256(file).digest() for file in files)).hexdigest()
    json.dumps(found)


def test_the_kind_of_softmax_is_named(tiny_bilm_folder, language_model_folder, adaptive_folder):
    found = [inspect_stage(str(folder)) for folder in (tiny_bilm_folder, language_model_folder, adaptive_folder)]
    assert [one["softmax"] for one in found] == [
        None,
        "over 9 words",
        "adaptive, over 9 words, in clusters from 4, 6 on",
    ]
    assert found[2]["vocabulary"]["words"] == 9 and found[2]["parameters"] == found[1]["parameters"]


def test_the_container_is_named(tiny_bilm_folder, tmp_path):
    convert_bilm(tiny_bilm_folder, tmp_path / "bilm.zip", "zip")
    found = inspect_stage(str(tmp_path / "bilm.zip"))
    assert found["form"] == "bilm-tf files in a zip archive"
    assert found["checksum"] == find_source(tmp_path / "bilm.zip").checksum()
    pair = inspect_stage(f"{tiny_bilm_folder}/options.json,{tiny_bilm_folder}/weights.hdf5")
    assert pair["form"] == "bilm-tf files" and pair["checksum"] == find_source(tiny_bilm_folder).checksum()


def test_a_trained_model_is_shown(model_folders):
    found = inspect_stage(str(model_folders["tagging"]))
    assert found["form"] == "Telmo model in a folder"
    assert found["labels"] == ["O", "B-X", "I-X"]


def test_the_command_prints_lines_for_people_and_JSON_for_programs(tiny_bilm_folder, capsys):
    main_ok(["inspect", str(tiny_bilm_folder)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(maxsplit=1) == ["form", "bilm-tf files in a folder"]
    main_ok(["inspect", str(tiny_bilm_folder), "--json"])
    assert json.loads(capsys.readouterr().out)["options"]["lstm"]["dim"] == 6


def test_the_command_converts(tiny_bilm_folder, tmp_path, capsys):
    main_ok(["convert", str(tiny_bilm_folder), str(tmp_path / "small.zip")])
    assert capsys.readouterr().out == f"{tmp_path}/small.zip: a zip archive of a biLM\n"
    with pytest.raises(SystemExit) as stopped:
        main(["convert", str(tmp_path / "nothing"), str(tmp_path / "x")])
    assert stopped.value.code == 1
    assert "nothing: does not exist" in capsys.readouterr().err


def test_what_holds_nothing_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(SourceError, match="no biLM in it"):
        inspect_stage(str(tmp_path))
    with pytest.raises(SourceError, match="no zip and no tar archive"):
        inspect_stage(str(tmp_path / "notes.txt"))


def main_ok(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
