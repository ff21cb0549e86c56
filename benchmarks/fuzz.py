"""Are broken and hostile biLMs refused? Each try damages a source and reads it: it must be read or be refused by name.

python benchmarks/fuzz.py --tries 1000 --seed 0

Sources are tiny random biLMs in the published form (of characters, of words and of dictionaries), and where PyTorch is
installed of ELMoForManyLangs; with `--shared` also a TF-Hub module and the archives of AllenNLP. They are packed as a
folder, a zip or a tar archive, and damaged inside the files, between the files, or in the archive's bytes: flipped
bits, cut and doubled pieces, wrong shapes and types, missing keys, links out of the file, members that lead out.

A try fails if it raises anything but a SourceError, ends the process, takes longer than SECONDS, takes more than
MEMORY, writes outside its temporary folder or leaves something in it. Readers are C libraries for the most part, so
that tries run in processes of their own. A try is known by its number: `--only 17` repeats one.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

SECONDS = 20
MEMORY = 2 * 2**30
"""Bytes that all tries of a process may take on top of its libraries."""

Files = dict[str, bytes]


# === Sources ===


def published(inputs: str) -> Files:
    import numpy as np

    from embeddings.options import BiLMOptions
    from embeddings.published import write_published
    from embeddings.spelling import spelling_of
    from embeddings.weights import HEAD, tail_keys, weight_shapes

    random = np.random.default_rng(5)
    entries = ["<bos>", "<eos>", "<oov>", "<pad>", "<bow>", "<eow>", *"abcdé今"]
    words = ["<S>", "</S>", "<UNK>", "the", "今天"] if inputs == "words" else ["<oov>", "<pad>", "the", "今天"]
    sizes = {
        "characters": {},
        "words": {"inputs": "words", "words": len(words), "word_dim": 4},
        "dictionaries": {"inputs": "dictionaries", "words": 4, "word_dim": 3, "characters": len(entries)},
    }[inputs]
    options = BiLMOptions(projection=4, cells=6, filters=((1, 3), (2, 4), (3, 2)), character_dim=3, **sizes)
    arrays = {key: random.normal(size=shape).astype(np.float32) for key, shape in weight_shapes(options)}
    shapes = {"softmax/W": (5, 4), "softmax/b": (5,), "aggregation/weights": (3,), "aggregation/scaling": ()}
    shapes |= zip(HEAD, ((4, 4), (4,)), strict=True)
    for k, width in enumerate((2, 1)):
        shapes |= zip(tail_keys(k), ((width, 4), (k + 1, width), (k + 1,)), strict=True)
    arrays |= {key: np.float32(random.normal(size=shape)) for key, shape in shapes.items()}
    with TemporaryDirectory() as name:
        spelling = spelling_of(options, words if sizes else (), entries)
        write_published(Path(name), options, arrays, words, spelling)
        return files_below(Path(name))


def many_langs() -> Files:
    from reference import torch_many_langs

    with TemporaryDirectory() as name:
        torch_many_langs.write(Path(name), torch_many_langs.network(), "abcdé今", ["the", "今天"], path="network.json")
        return files_below(Path(name))


def files_below(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sources(shared: Path | None) -> dict[str, Files]:
    from importlib.util import find_spec

    made = {name: published(name) for name in ("characters", "words", "dictionaries")}
    if find_spec("torch"):
        made["many_langs"] = many_langs()
    if shared:
        made["hub"] = files_below(shared / "fixtures/hub_elmo/module")
        for path in (shared / "fixtures/allennlp").glob("*.tar.gz") if find_spec("torch") else ():
            with tarfile.open(path) as archive:
                members = {info.name.removeprefix("./"): archive.extractfile(info) for info in archive if info.isreg()}
                made[path.name] = {name: file.read() for name, file in members.items() if file}
    return made


# === Damage ===


# Sizes and addresses stand in eight bytes or in four.
SIZES = [b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f", b"\0" * 7 + b"\x80", b"\xff\xff\xff\x7f", b"\0\0\0\x80"]


def damage_bytes(data: bytes, random) -> bytes:
    """One wrong spot, or a piece too few or too many."""
    at, other, length = (int(random.integers(most)) for most in (len(data) + 1, len(data) + 1, 64))
    before, after = data[:at], data[at + length :]
    noise = bytes(random.integers(256, size=length).tolist())
    size = SIZES[int(random.integers(len(SIZES)))]
    kinds = {
        "flip": before + bytes(byte ^ 1 << int(random.integers(8)) for byte in data[at : at + 1]) + data[at + 1 :],
        "cut": before,
        "leave out": before + after,
        "double": before + data[at : at + length] * 2 + after,
        "size": before + size + data[at + len(size) :],
        "copy": before + data[other : other + length] + after,
        "put in": before + noise + data[at:],
        "empty": b"",
    }
    shares = [0.35, 0.1, 0.1, 0.1, 0.2, 0.08, 0.06, 0.01]
    return kinds[str(random.choice(list(kinds), p=shares))]


VALUES = [
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    float("nan"),
    10**6,
    10**12,
    2**63,
    10**30,
    "",
    "x",
    "../x",
    [],
    {},
    [[]],
    [1, 2],
]


def damage_json(data: bytes, random) -> bytes:
    """A value somewhere replaced or taken away."""
    root = {"": json.loads(data)}
    holder, key = root, ""
    while isinstance(holder[key], dict | list) and holder[key] and random.random() < 0.85:
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = keys[int(random.integers(len(keys)))]
    if random.random() < 0.2:
        del holder[key]
    else:
        holder[key] = VALUES[int(random.integers(len(VALUES)))]
    return json.dumps(root.get("", "")).encode()


def damage_hdf5(data: bytes, random) -> bytes:
    """A key, a shape, a type, a place or a value that is not as it should be."""
    import h5py

    binary = io.BytesIO(data)
    with h5py.File(binary, "a") as file:
        keys: list[str] = []
        file.visititems(lambda name, item: keys.append(name) if isinstance(item, h5py.Dataset) else None)
        key = keys[int(random.integers(len(keys)))]
        array = file[key][()]
        group = key.rpartition("/")[0]
        place = group if group and random.random() < 0.2 else key
        del file[place]
        hostile_dataset(file, place, array, random)
    return binary.getvalue() if random.random() < 0.8 else damage_bytes(binary.getvalue(), random)


def hostile_dataset(file, key: str, array, random) -> None:
    """Something in the place of a dataset, or nothing."""
    import h5py
    import numpy as np

    def virtual():
        layout = h5py.VirtualLayout(array.shape, "f4")
        layout[...] = h5py.VirtualSource(["/etc/passwd", "here.hdf5"][int(random.integers(2))], "x", array.shape)
        file.create_virtual_dataset(key, layout)

    def linked():
        outside = ["/etc/passwd", "here.hdf5", "/dev/zero", "../pipe"]
        file[key] = h5py.ExternalLink(outside[int(random.integers(4))], "x")

    def of_type(types):
        file.create_dataset(key, array.shape, types[int(random.integers(len(types)))])

    shape = [int(size) for size in random.integers(0, 6, size=int(random.integers(0, 5)))]
    infinite = np.where(np.arange(array.size).reshape(array.shape) == 0, random.choice([np.nan, np.inf]), array)
    packed = {"chunks": True, "compression": "gzip", "shuffle": True, "fletcher32": True} if array.ndim else {}
    kinds = [
        lambda: None,
        linked,
        virtual if array.ndim else linked,
        lambda: file.__setitem__(key, h5py.SoftLink(f"/{key}")),
        lambda: file.__setitem__(key, file["/"]),
        lambda: file.create_dataset(key, array.shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]),
        lambda: file.create_dataset(key, (2**20,) * 3, "f4", chunks=(64, 64, 64)),
        lambda: file.create_dataset(key, array.shape, "f4"),
        lambda: of_type([h5py.string_dtype(), h5py.ref_dtype, "i4", "S4", "f2", "f8", ">f4", "f2,i4", "bool", "c8"]),
        lambda: file.create_dataset(key, data=infinite),
        lambda: file.create_dataset(key, data=np.zeros(shape, "f4")),
        lambda: file.create_group(key + "/a" * int(random.integers(1, 300))),
        lambda: file.create_dataset(key, data=array, **packed),
    ]
    kinds[int(random.integers(len(kinds)))]()


def damage_file(name: str, data: bytes, random) -> bytes:
    structured = {".json": damage_json, ".hdf5": damage_hdf5}.get(Path(name).suffix)
    if structured and random.random() < 0.6:
        return structured(data, random)
    for _ in range(int(random.integers(1, 4))):
        data = damage_bytes(data, random)
    return data


NAMES = [
    "../out",
    "/{outside}/out",
    "a/../../out",
    "..\\out",
    "C:\\out",
    "",
    ".",
    "..",
    "a" * 300,
    "a/" * 300 + "a",
    "\x1b[2J",
]


def hostile_members(random, outside: Path) -> list[tuple[str, bytes, bytes]]:
    """Members with names, contents and types that no archive of a biLM has."""
    kinds = [tarfile.REGTYPE] * 6 + [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
    ]
    names = [*NAMES, "options.json", "weights.hdf5", "__MACOSX/._options.json", "._weights.hdf5", "more/weights.hdf5"]
    return [
        (
            names[int(random.integers(len(names)))].format(outside=outside),
            b"x" * int(random.integers(20)),
            kinds[int(random.integers(len(kinds)))],
        )
        for _ in range(int(random.integers(1, 4)))
    ]


def pack(files: Files, kind: str, random, outside: Path) -> bytes:
    members = [(name, data, tarfile.REGTYPE) for name, data in files.items()]
    if random.random() < 0.15:
        members[int(random.integers(len(members))) :] = hostile_members(random, outside)
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(
            packed, "w", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED][int(random.integers(2))]
        ) as archive:
            for name, data, member in members:
                info = zipfile.ZipInfo(name or "x")
                info.external_attr = (0o120777 if member == tarfile.SYMTYPE else 0o644) << 16
                archive.writestr(info, data)
        return packed.getvalue()
    with tarfile.open(
        fileobj=packed, mode="w", format=[tarfile.PAX_FORMAT, tarfile.GNU_FORMAT][int(random.integers(2))]
    ) as tar:
        for name, data, member in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = member, len(data) * (member == tarfile.REGTYPE), str(outside)
            tar.addfile(info, io.BytesIO(data))
    raw = packed.getvalue()
    if random.random() < 0.3:
        # What is inside is damaged, so that the checksum of the compression does not tell.
        headers = bytearray(raw)
        for at in random.integers(min(len(raw), 4096), size=3):
            headers[at] = int(random.choice([0, 0x80, 0xFF, 0x37, 0x2D, int(random.integers(256))]))
        raw = bytes(headers)
    if kind == "tar":
        return raw
    import gzip

    return gzip.compress(raw, 1)


# === Tries ===


def make_try(number: int, found: dict[str, Files], folder: Path, outside: Path) -> Path:
    """A damaged source on disk."""
    import numpy as np

    random = np.random.default_rng(number)
    files = dict(found[list(found)[int(random.integers(len(found)))]])
    kind = ["folder", "folder", "zip", "tar", "tar.gz"][int(random.integers(5))]
    least = 1 if kind == "folder" else 0
    for name in random.choice(list(files), size=int(random.integers(least, 3)), replace=False).tolist():
        if random.random() < 0.1:
            del files[name]
        else:
            files[name] = damage_file(name, files[name], random)
    if kind == "folder":
        place = folder / "model"
        for name, data in files.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        place.mkdir(exist_ok=True)
        return place
    data = pack(files, kind, random, outside)
    place = folder / "model.bin"
    place.write_bytes(damage_bytes(data, random) if random.random() < 0.4 else data)
    return place


def read_all(place: Path) -> None:
    """All that Telmo reads of a source."""
    from embeddings.archive import open_tree
    from embeddings.source import find_bilm
    from embeddings.torch_file import read_state

    tree = open_tree(place)
    if weights := tree.named("weights.th"):
        with tree.open(weights[0]) as file:
            read_state(file, tree.where(weights[0]))
        for name in tree.named("config.json"):
            tree.json(name)
        return
    stored = find_bilm(tree)
    stored.options, stored.vocabulary, stored.checksum()
    stored.spelling.ids(["the", "今天", "x" * 60])
    stored.arrays()


def one_try(number: int, found: dict[str, Files], sandbox: Path) -> str:
    """How a try ends: "read", "refused", or what is wrong."""
    from embeddings.errors import SourceError

    with TemporaryDirectory(dir=sandbox / "made") as name:
        place = make_try(number, found, Path(name), sandbox / "outside")
        before = listing(sandbox)
        try:
            read_all(place)
            end = "read"
        except SourceError as error:
            end = "refused" if str(place) in str(error) and "\n" not in str(error) else f"says no place: {error}"
        except BaseException as error:
            end = f"raised {type(error).__name__}: {error}"
        if listing(sandbox) != before:
            end = f"left {sorted(listing(sandbox) - before)[:3]}"
    return end


def listing(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def work(arguments) -> None:
    """Run tries one after another; each says on standard output what it is about to do and how it ended."""
    import tempfile

    sandbox = arguments.worker
    tempfile.tempdir = str(sandbox / "temporary")
    os.chdir(sandbox / "here")
    found = sources(arguments.shared)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in ("embeddings.source", *(("torch",) if "many_langs" in found else ())):
        __import__(name)
    if "hub" in found:
        read_all(arguments.shared / "fixtures/hub_elmo/module")
    held = resource_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + MEMORY,) * 2)
    for number in range(arguments.first, arguments.seed + arguments.tries, arguments.workers):
        print(number, end=" ", flush=True)
        began = time.perf_counter()
        end = one_try(number, found, sandbox)
        print(f"{time.perf_counter() - began:.3f} {resource_bytes() - held} {end!a}", flush=True)


def resource_bytes() -> int:
    """The most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def data_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


class Worker:
    """A process that tries; it is started anew behind a try that ended it."""

    def __init__(self, first: int, arguments, folder: Path):
        self.arguments, self.next, self.folder = arguments, first, folder
        for name in ("made", "temporary", "here", "outside"):
            (folder / name).mkdir(parents=True)
        # What a link may lead to.
        (folder / "here/here.hdf5").write_bytes(b"")
        os.mkfifo(folder / "pipe")
        self.lines: list[list[str]] = []
        self.done = False
        self.start()

    def start(self) -> None:
        self.log = self.folder.with_suffix(f".{self.next}.log")
        told = [f"--{name}={getattr(self.arguments, name)}" for name in ("seed", "tries", "workers", "shared")]
        told = [argument for argument in told if not argument.endswith("=None")]
        with self.log.open("wb") as log, self.folder.with_suffix(".err").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, __file__, *told, f"--worker={self.folder}", f"--first={self.next}"],
                stdout=log,
                stderr=errors,
            )
        self.size, self.changed = 0, time.monotonic()

    def look(self) -> bool:
        """Whether it is still at work."""
        if self.done:
            return False
        size, ended = self.log.stat().st_size, self.process.poll()
        if size != self.size:
            self.size, self.changed = size, time.monotonic()
        # The first try waits for the libraries.
        slow = time.monotonic() - self.changed > SECONDS + (100 if not size else 0)
        if ended is None and not slow:
            return True
        if ended is None:
            self.process.kill()
            self.process.wait()
        self.lines += (lines := [line.split(" ", 3) for line in self.log.read_text("utf-8").splitlines()])
        if ended == 0:
            self.done = True
            return False
        if not lines:
            sys.exit(f"error: no tries at all: {self.folder.with_suffix('.err').read_text()[-2000:]}")
        end = f"ended the process with {ended}" if ended is not None else f"took more than {SECONDS} s"
        if len(lines[-1]) < 4:
            lines[-1][1:] = [str(SECONDS), "0", ascii(end)]
        self.next = int(lines[-1][0]) + self.arguments.workers
        self.start()
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first try")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="repeat one try here, with its traceback")
    parser.add_argument("--shared", type=Path, help="folder with reference files, for more kinds of sources")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    if arguments.only is not None:
        with TemporaryDirectory() as name:
            read_all(make_try(arguments.only, sources(arguments.shared), Path(name), Path(name, "outside")))
        return
    began = time.perf_counter()
    with TemporaryDirectory() as name:
        workers = [
            Worker(arguments.seed + k, arguments, Path(name, f"worker{k}"))
            for k in range(min(arguments.workers, arguments.tries))
        ]
        while [worker for worker in workers if worker.look()]:
            time.sleep(0.1)
        lines = [line for worker in workers for line in worker.lines]
    ends = Counter(end if end in ("'read'", "'refused'") else "failed" for *_, end in lines)
    for number, seconds, _, end in sorted(lines, key=lambda line: int(line[0])):
        if end not in ("'read'", "'refused'"):
            print(f"try {number} ({seconds} s): {end}")
    slowest = max(float(line[1]) for line in lines)
    memory = max(int(line[2]) for line in lines)
    print(
        f"{len(lines)} tries in {time.perf_counter() - began:.0f} s: {ends[chr(39) + 'read' + chr(39)]} read, "
        f"{ends[chr(39) + 'refused' + chr(39)]} refused, {ends['failed']} failed; "
        f"slowest {slowest:.2f} s, most memory {memory / 2**20:.0f} MiB"
    )
    sys.exit(int(bool(ends["failed"]) or len(lines) != arguments.tries))


if __name__ == "__main__":
    main()
