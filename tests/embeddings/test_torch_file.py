import io
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from embeddings.errors import SourceError  # noqa: E402
from embeddings.torch_file import read_shapes, read_state  # noqa: E402

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.ones(2, dtype=torch.float64), "d": torch.tensor(1.5)}


def saved(state, zipped=True):
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    return file


class Runs:
    def __reduce__(self):
        return (print, ("code was run",))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_arrays_come_by_their_names_from_both_layouts(zipped):
    state = STATE | {"parameter": torch.nn.Parameter(torch.ones(1)), "turned": STATE["a"].T}
    arrays = read_state(saved(state, zipped), "x")
    assert arrays.keys() == state.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[name].detach().numpy())
    assert read_shapes(saved(state, zipped), "x") == {name: array.shape for name, array in arrays.items()}


def zip_bomb(file):
    """The same file with its members compressed, as nobody's `torch.save` writes it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    packed.seek(0)
    return packed


def stored_elsewhere(file):
    data = file.getvalue()
    return io.BytesIO(data.replace(b"archive/data/0", b"archive/data/7"))


HOSTILE = {
    "nothing": (lambda: io.BytesIO(b""), "no weights of PyTorch"),
    "text": (lambda: io.BytesIO(b"some text"), "no weights of PyTorch"),
    "code": (lambda: io.BytesIO(pickle.dumps(Runs(), 2)), "no weights of PyTorch"),
    "code among arrays": (lambda: saved(STATE | {"x": Runs()}), "no weights of PyTorch"),
    "code, before 1.6": (lambda: saved(STATE | {"x": Runs()}, False), "no weights of PyTorch"),
    "a whole module": (lambda: saved(torch.nn.Linear(2, 2)), "no weights of PyTorch"),
    "compressed": (lambda: zip_bomb(saved({"a": torch.zeros(10**6)})), "is compressed, as PyTorch never writes it"),
    "no array of that name": (lambda: stored_elsewhere(saved(STATE)), "no weights of PyTorch"),
    "a list": (lambda: saved([STATE["a"]]), "holds a list; expected a state dict"),
    "a number": (lambda: saved(STATE | {"n": 3}), "key 'n' holds a int; expected an array"),
    "a dict inside": (lambda: saved({"model": STATE}), "key 'model' holds a dict; expected an array"),
    "numbers for names": (lambda: saved({3: STATE["a"]}), "key '3' holds a Tensor; expected an array"),
    "a view of everything": (
        lambda: saved({"v": torch.zeros(1).expand(10**6, 10**6)}),
        r"key 'v' has shape \[1000000, 1000000\]; more than the file holds",
    ),
    "sparse": (
        lambda: saved({"s": torch.sparse_coo_tensor([[0], [0]], [1.0], (10**6, 10**6))}),
        "key 's' holds a Tensor; expected an array",
    ),
    "on no device": (lambda: saved({"m": torch.empty(10**9, device="meta")}), "x: "),
    "quantized": (lambda: saved({"q": torch.quantize_per_tensor(STATE["a"], 0.1, 0, torch.qint8)}), "key 'q'"),
    "a type that NumPy lacks": (lambda: saved({"h": torch.ones(2, dtype=torch.bfloat16)}), "key 'h' cannot be read"),
}


@pytest.mark.parametrize(("make", "message"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_state_dict_is_refused_and_no_code_is_run(make, message, capsys):
    with pytest.raises(SourceError, match=f"x: .*{message}|^{message}") as caught:
        read_state(make(), "x")
    assert "\n" not in str(caught.value)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(zipped, keep):
    data = saved(STATE, zipped).getvalue()
    with pytest.raises(SourceError, match=r"^x: no weights of PyTorch"):
        read_state(io.BytesIO(data[: int(keep * len(data))]), "x")
