import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from embeddings import archive as module
from embeddings.archive import Files, open_tree
from embeddings.errors import SourceError
from embeddings.source import find_source

FILES = {"options.json": b"{}", "inner/weights.hdf5": bytes(range(256)) * 40, "inner/more/vocab.txt": b"one\n"}


def make_zip(path, files, **attributes):
    """Pairs of names and bytes; attributes are those of each member."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    return path


def make_tar(path, files, mode="w:gz", **attributes):
    with tarfile.open(path, mode) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return path


MAKERS = {"zip": make_zip, "tar": make_tar}


@pytest.fixture(params=MAKERS)
def make(request, tmp_path, monkeypatch):
    """Makes an archive in a folder of its own; whatever is unpacked stays within another, and nothing else is
    written."""
    place, unpacked = tmp_path / "place", tmp_path / "unpacked"
    place.mkdir()
    unpacked.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(unpacked))
    monkeypatch.chdir(place)
    yield lambda files, **attributes: MAKERS[request.param](place / "archive", files, **attributes)
    assert [path.name for path in place.iterdir()] == ["archive"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "unpacked"]


def refused(path, message):
    with pytest.raises(SourceError, match=message) as caught:
        open_tree(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def contents(tree):
    return {name: tree.read(name) for name in tree.names}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_archive_is_known_by_its_bytes_however_it_is_compressed(tmp_path, mode):
    assert contents(open_tree(make_tar(tmp_path / "model.bin", FILES.items(), mode))) == FILES


def test_all_trees_say_the_same(make, tmp_path):
    tree = open_tree(make(FILES.items()))
    assert contents(tree) == FILES
    assert {name: Path(tree.folder(), name).read_bytes() for name in tree.names} == FILES
    assert contents(open_tree(tree.folder())) == FILES
    assert tree.head("inner/weights.hdf5", 3) == b"\0\1\2"
    assert contents(tree.below("inner/weights.hdf5")) == {
        "weights.hdf5": FILES["inner/weights.hdf5"],
        "more/vocab.txt": b"one\n",
    }
    assert tree.named(".json", ".txt") == ["inner/more/vocab.txt", "options.json"]


def test_what_was_unpacked_goes_with_the_tree(make, tmp_path):
    tree = open_tree(make(FILES.items()))
    tree.folder()
    assert list((tmp_path / "unpacked").iterdir())
    del tree
    assert not list((tmp_path / "unpacked").iterdir())


@pytest.mark.parametrize(
    "name",
    ["../out", "a/../../out", "a/..", "/etc/out", "//out", "..\\out", "a\\b", "C:\\out", "C:/out", "c:out", ".."],
)
def test_no_member_leads_out(make, tmp_path, name):
    refused(make([("options.json", b"{}"), (name, b"x")]), r"would leave the archive's folder|cannot be shown")
    assert not list((tmp_path / "unpacked").iterdir())


def test_dots_and_double_slashes_are_no_part_of_a_name(make):
    assert open_tree(make([("./a//b", b"x"), ("c/./d", b"y")])).names == ["a/b", "c/d"]


def test_members_that_come_twice_are_refused(make):
    refused(make([("a", b"x"), ("./a", b"y")]), "comes twice")


def test_names_that_would_play_with_a_terminal_are_refused(make):
    refused(make([("\x1b[2Ja", b"x")]), "cannot be shown")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
    ],
)
def test_a_tar_archive_holds_no_links_and_no_devices(tmp_path, kind):
    path = make_tar(tmp_path / "a.tar.gz", [("options.json", b"")], type=kind, linkname="/etc/passwd")
    refused(path, "'options.json' is a link or a device")


def test_a_link_cannot_be_written_through(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("inner")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("inner/out"))
    refused(path, "'inner' is a link or a device")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("kind", [0o120777, 0o020666, 0o060666, 0o010666, 0o140666])
def test_a_zip_archive_holds_no_links_and_no_devices(tmp_path, kind):
    path = make_zip(tmp_path / "a.zip", [("options.json", b"/etc/passwd")], external_attr=kind << 16)
    refused(path, "'options.json' is a link or a device")


def test_a_file_where_a_folder_is_needed_is_refused(make, tmp_path):
    with pytest.raises(SourceError, match="cannot be read"):
        open_tree(make([("a", b"x"), ("a/b", b"y")])).folder()
    assert not list((tmp_path / "unpacked").iterdir())


def test_more_than_the_limit_is_not_unpacked(make, monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 100_000)
    assert len(contents(open_tree(make([("a", bytes(100_000))])))["a"]) == 100_000
    refused(make([("a", bytes(60_000)), ("b", bytes(60_000))]), "unpacks to more than 100,000 bytes")


def test_a_bomb_is_not_unpacked(make, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SMALL", 1000)
    path = make([("a", bytes(1_000_000))])
    limit = 200 * path.stat().st_size
    refused(path, f"unpacks to more than {limit:,} bytes")
    tree = open_tree(make([("vocab.txt.gz", gzip.compress(bytes(1_000_000))), ("noise", os.urandom(5000))]))
    with pytest.raises(SourceError, match=r"vocab\.txt\.gz: unpacks to more than"):
        tree.text("vocab.txt.gz")
    assert not [path for path in (tmp_path / "unpacked").rglob("*") if path.is_file() and path.stat().st_size > 10_000]


def test_too_many_members_are_refused(make, monkeypatch):
    monkeypatch.setattr(module, "MEMBERS", 3)
    assert len(open_tree(make([(str(k), b"") for k in range(3)])).names) == 3
    refused(make([(str(k), b"") for k in range(4)]), "more than 3 members")
    refused(make([(f"{k}/", b"") for k in range(4)]), "more than 3 members")


def test_a_folder_of_too_many_files_is_no_biLM(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEMBERS", 3)
    for k in range(4):
        (tmp_path / str(k)).touch()
    refused(tmp_path, "more than 3 files")


def test_a_zip_that_states_less_than_it_yields_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a", bytes(100_000))])
    data = path.read_bytes()
    for stated in (10, 200_000):
        path.write_bytes(data.replace(struct.pack("<I", 100_000), struct.pack("<I", stated)))
        with pytest.raises(SourceError, match=r"a\.zip/a: "):
            open_tree(path).read("a")


def test_a_zip_that_states_more_than_the_limit_is_not_read(tmp_path):
    path = make_zip(tmp_path / "a.zip", [(name, bytes(100_000)) for name in "abc"])
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 100_000), struct.pack("<I", 2**32 - 2)))
    refused(path, "unpacks to more than")


def test_an_encrypted_member_is_named(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a", b"x")])
    data = bytearray(path.read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(header) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.zip/a: .*encrypted"):
        open_tree(path).read("a")


def test_an_unknown_compression_is_named(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a", b"x")])
    data = bytearray(path.read_bytes())
    for header, method in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        data[data.index(header) + method] = 97
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.zip/a: .*compression method is not supported"):
        open_tree(path).read("a")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(make, tmp_path, keep):
    noise = os.urandom(50_000)
    path = make([("a", noise), ("b", noise)])
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    refused(path, "broken or truncated|no zip and no tar")
    assert not list((tmp_path / "unpacked").iterdir())


def test_an_empty_file_and_another_kind_of_file_are_told_apart_from_archives(tmp_path):
    for data in (b"", b"some text"):
        (tmp_path / "a").write_bytes(data)
        refused(tmp_path / "a", f"a file of {len(data)} bytes that is no zip and no tar archive")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "a device or a pipe")
    assert open_tree(tmp_path).names == []


def tar_header(name, size, kind=b"0"):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_tar_whose_header_states_more_than_there_is_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_header("a", 10_000) + bytes(512))
    refused(path, "broken or truncated")
    path.write_bytes(tar_header("folder", 2**40, tarfile.DIRTYPE) + bytes(512))
    refused(path, "unpacks to more than")
    path.write_bytes(tar_header("a", 2**40) + bytes(512))
    refused(path, "unpacks to more than")


@pytest.mark.parametrize("kind", [b"0", tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", [-512, -1024, -(2**40), 2**62])
def test_a_tar_whose_header_states_nonsense_neither_hangs_nor_fills_the_memory(tmp_path, kind, size):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_header("first", 3) + b"abc".ljust(512, b"\0") + tar_header("a", size, kind) + bytes(1024))
    refused(path, "more than|broken or truncated|cannot be read")


def test_a_header_that_is_a_bomb_is_not_held_in_memory(tmp_path):
    path = tmp_path / "a.tar.gz"
    size = 2**26
    with gzip.open(path, "wb", 1) as file:
        file.write(tar_header("a", size, tarfile.XHDTYPE))
        for _ in range(64):
            file.write(bytes(2**20))
    refused(path, "a member's header of more than")


def test_a_sparse_member_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_header("a", 0, tarfile.GNUTYPE_SPARSE) + bytes(1024))
    refused(path, "link or a device")


def test_a_packed_vocabulary_is_read_up_to_the_limit(make, monkeypatch):
    tree = open_tree(make([("vocab.txt.gz", gzip.compress(b"one\ntwo\n"))]))
    assert tree.text("vocab.txt.gz") == "one\ntwo\n"
    monkeypatch.setattr(module, "LIMIT", 7)
    with pytest.raises(SourceError, match=r"vocab\.txt\.gz: unpacks to more than 7 bytes"):
        tree.read("vocab.txt.gz")


def test_text_and_JSON_that_are_none_are_named_with_their_line(make):
    deep = b"[" * 100_000
    tree = open_tree(make([("text", b"a\nb\xff"), ("json", b"{"), ("deep", deep), ("vocab.gz", b"no")]))
    for name, read, message in (
        ("text", tree.text, "text line 2: not UTF-8"),
        ("json", tree.json, "json: not JSON"),
        ("deep", tree.json, "deep: not JSON"),
        ("vocab.gz", tree.text, "vocab.gz: cannot be read"),
    ):
        with pytest.raises(SourceError, match=message):
            read(name)


def test_a_file_that_went_away_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    tree, files = open_tree(tmp_path), Files(tmp_path / "a")
    (tmp_path / "a").unlink()
    with pytest.raises(SourceError, match="a: cannot be read"):
        tree.read("a")
    with pytest.raises(SourceError, match="a: cannot be read"):
        files.read(str(tmp_path / "a"))


def test_the_shadow_files_of_a_mac_are_no_weights(make, tiny_bilm_folder):
    files = [(f"bilm/{path.name}", path.read_bytes()) for path in sorted(tiny_bilm_folder.iterdir())]
    shadows = [
        (f"{place}bilm/._{path.name}", b"\0\5\x16\7")
        for path in tiny_bilm_folder.iterdir()
        for place in ("__MACOSX/", "")
    ]
    found = find_source(make(files + shadows))
    assert found.options == find_source(tiny_bilm_folder).options
    assert found.vocabulary == find_source(tiny_bilm_folder).vocabulary
    assert found.arrays().keys() == find_source(tiny_bilm_folder).arrays().keys()


def test_a_biLM_far_down_is_found_with_its_vocabulary(make, tiny_bilm_folder):
    found = find_source(make([(f"a/b/{path.name}", path.read_bytes()) for path in tiny_bilm_folder.iterdir()]))
    assert found.vocabulary == ("<S>", "</S>", "<UNK>", "the")
    assert json.loads((tiny_bilm_folder / "options.json").read_bytes()) == found.options.to_json()


def test_the_checksum_at_the_end_of_a_packed_tar_counts(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("options.json")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    packed = bytearray(path.read_bytes())
    packed[-6] ^= 1
    path.write_bytes(packed)
    with pytest.raises(SourceError, match=r"a\.tar\.gz: cannot be read \(CRC check failed"):
        open_tree(path)
