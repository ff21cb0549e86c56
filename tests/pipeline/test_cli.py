import io
import json
import logging
import signal
import socket

import h5py
import pytest

from pipeline.cli import main


@pytest.fixture
def telmo(capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder; gives its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    root, heard = logging.getLogger(), signal.getsignal(signal.SIGTERM)
    handlers, level = root.handlers[:], root.level

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    # A server takes over the log of its process and what a signal does.
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    signal.signal(signal.SIGTERM, heard)


def refused(result, message, code=1):
    """Whether a command ended with one line that says `message`, and this exit code."""
    found, out, err = result
    lines = [line for line in err.splitlines() if line.startswith("telmo: ")]
    return found == code and out == "" and len(lines) == 1 and message in lines[0] and "Traceback" not in err


def test_a_text_is_embedded_line_by_line(telmo, tmp_path, tiny_bilm_folder):
    (tmp_path / "a.txt").write_text("It isn't.\n\nTwo words\n")
    code, out, _ = telmo("embed", "a.txt", "out/v.hdf5", "--source", tiny_bilm_folder)
    assert code == 0 and out.startswith("out/v.hdf5: 3 sentences, 1 empty, 6 words\n6 words in ")
    with h5py.File(tmp_path / "out/v.hdf5") as file:
        assert [file[str(k)].shape for k in range(3)] == [(3, 4, 8), (3, 0, 8), (3, 2, 8)]
        assert json.loads(file["sentence_to_index"][0])["Two words"] == "2"


def test_an_output_among_the_inputs_is_refused_the_first_time(telmo, tmp_path, tiny_bilm_folder):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/a.txt").write_text("One\n")
    for arguments, file in (
        (["corpus", "corpus/v.parquet"], "corpus/v.parquet"),
        (["corpus/*", "corpus/v"], "corpus/v.manifest.json"),
    ):
        result = telmo("embed", *arguments, "--source", tiny_bilm_folder)
        assert refused(result, f"{file}: would be read as input the next time; expected another place to write")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.txt: the file is empty"),
        (b"\n\n", "a.txt: no words in it; expected at least one sentence"),
        (b"ok\nno\xff\n", "line 2: byte 0xff at position 3 is not utf-8"),
    ],
)
def test_a_corpus_that_cannot_be_embedded_is_refused(telmo, tmp_path, tiny_bilm_folder, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    assert refused(telmo("embed", "a.txt", "v.hdf5", "--source", tiny_bilm_folder), message)
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_a_sentence_of_20_000_words_is_embedded(telmo, tmp_path, tiny_bilm_folder):
    (tmp_path / "a.txt").write_text("word " * 20_000)
    code, out, _ = telmo("embed", "a.txt", "v.hdf5", "--source", tiny_bilm_folder)
    assert code == 0 and "20,000 words" in out


def test_predictions_are_lines_or_json(telmo, model_folders):
    code, out, _ = telmo("predict", model_folders["classification"], "A cat.", "A dog.")
    assert code == 0 and len(out.splitlines()) == 2 and out.splitlines()[0].endswith("\tA cat.")
    code, out, _ = telmo("predict", model_folders["tagging"], "A cat.", "--json")
    assert json.loads(out).keys() == {"tokens", "tags", "spans"}


def test_texts_come_from_standard_input(telmo, model_folders, monkeypatch):
    class Standard:
        buffer = io.BytesIO()

    def answered(*arguments):
        Standard.buffer = io.BytesIO("Ein Käse\r\n\n  \nzwei\u2028drei\n".encode())
        code, out, _ = telmo("predict", model_folders["classification"], *arguments)
        assert code == 0
        return out.split("\n")[:-1]

    monkeypatch.setattr("sys.stdin", Standard)
    # Answers stand beside their lines, and a line is what ends with a newline and nothing else.
    first, *empty, last = answered()
    assert first.endswith("\tEin Käse") and empty == ["", ""] and last.endswith("\tzwei\u2028drei")
    first, *empty, last = map(json.loads, answered("--json"))
    assert first.keys() == last.keys() == {"label", "probabilities"} and empty == [None, None]


def test_standard_input_that_is_no_text_is_refused(telmo, model_folders, monkeypatch):
    class Standard:
        buffer = io.BytesIO()

    monkeypatch.setattr("sys.stdin", Standard)
    for given, message in (
        (b"", "standard input: no text; expected at least one line"),
        (b" \n\n", "standard input: no text; expected at least one line"),
        (b"good\nno\xff\n", "standard input line 2: not UTF-8; expected UTF-8 text"),
    ):
        Standard.buffer = io.BytesIO(given)
        assert refused(telmo("predict", model_folders["classification"]), message)


def test_a_model_is_evaluated(telmo, tmp_path, model_folders):
    (tmp_path / "data.csv").write_text("text,label\nA cat.,cat\nA dog.,dog\n")
    code, out, _ = telmo("evaluate", model_folders["classification"], "data.csv", "--plot", "confusion.png")
    assert code == 0 and "accuracy" in out and "on 2 examples of data.csv" in out
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_a_label_unseen_in_training_is_refused(telmo, tmp_path, model_folders):
    (tmp_path / "data.csv").write_text("text,label\nA cat.,cat\nA bird.,bird\n")
    result = telmo("evaluate", model_folders["classification"], "data.csv")
    assert refused(result, "data.csv line 3: label 'bird' was not seen in training")


def test_a_missing_column_is_refused(telmo, tmp_path, model_folders):
    (tmp_path / "data.csv").write_text("text,class\nA cat.,cat\n")
    result = telmo("evaluate", model_folders["classification"], "data.csv")
    assert refused(result, "data.csv line 2: no column 'label'; found 'text', 'class'")


def test_a_model_that_does_not_exist_is_refused(telmo):
    assert refused(telmo("predict", "no-model", "text"), "no-model: no such folder")
    assert refused(telmo("serve", "no-model", "--port", "0"), "no-model: no such folder")
    assert refused(telmo("predict", "models:/nobody@champion", "text"), "models:/nobody@champion: not found")


def test_a_port_in_use_is_refused(telmo, model_folders):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = telmo("serve", model_folders["tagging"], "--port", port)
    assert refused(
        result, f"127.0.0.1:{port}: cannot be listened on (address already in use); choose another with --port"
    )


def test_a_log_that_is_not_known_is_refused(telmo):
    code, _, err = telmo("serve", "no-model", "--log-format", "xml")
    assert code == 2 and "'xml' is not one" in err
    code, _, err = telmo("serve", "no-model", "--log-level", "loud")
    assert code == 2 and "'loud' is not" in err


def test_two_models_of_one_name_are_refused(telmo, model_folders):
    result = telmo("serve", model_folders["tagging"], model_folders["tagging"], "--port", "0")
    assert refused(result, "tiny-tagging: two of the models have this name")


def test_a_config_error_is_wrong_usage(telmo, tmp_path):
    (tmp_path / "c.yaml").write_text("nmae: x\n")
    code, _, err = telmo("train", "c.yaml")
    assert code == 2 and "c.yaml line 1: unknown key 'nmae'; did you mean 'name'?" in err


def test_a_training_tells_what_it_replaces_and_why_it_ends_early(telmo, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "one,a\ntwo,b\n" * 8)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("{}")
    config = "{name: m, task: classification, output: model, data: {train: a.csv, validation: a.csv, test: a.csv}, "
    config += "embedding: {source: none}, head: {encoder: none}, tracking: {enabled: false}, "
    (tmp_path / "c.yaml").write_text(config + "training: {epochs: 5, patience: 1, learning_rate: 1.0e-9}}")
    code, _, err = telmo("train", "c.yaml")
    assert code == 0 and "model: holds a model; this training will take its place" in err
    assert "ended early: no epoch was better for 1 (training.patience)" in err


def test_a_text_that_is_too_short_is_all_that_a_pretraining_tells(telmo, tmp_path):
    (tmp_path / "a.txt").write_text("One sentence .\n")
    config = "{output: bilm, train: a.txt, validation: a.txt, training: {batch_size: 8, steps: 5}}"
    (tmp_path / "c.yaml").write_text(config)
    expected = (
        "telmo: a.txt: the validation text does not fill a batch of 8 x 5 words; "
        "expected more text, or a smaller training.batch_size or training.steps\n"
    )
    assert telmo("pretrain", "c.yaml") == (1, "", expected)


def test_wrong_usage_is_told_with_the_expected_values(telmo, tiny_bilm_folder):
    code, _, err = telmo("embed", "a.txt", "v.hdf5", "--source", tiny_bilm_folder, "--tokenizer", "nltk")
    assert code == 2 and "expected one of spacy" in err
    assert telmo("nonsense")[0] == 2
    assert telmo("--version") == (0, "telmo 0.1.0\n", "")


def test_an_unforeseen_error_has_no_traceback_unless_asked_for(telmo, monkeypatch, model_folders):
    def fail(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("models.predictor.Predictor.load", fail)
    assert refused(telmo("predict", model_folders["tagging"], "a"), "internal error: ZeroDivisionError: oops")
    with pytest.raises(ZeroDivisionError):
        telmo("--debug", "predict", model_folders["tagging"], "a")
