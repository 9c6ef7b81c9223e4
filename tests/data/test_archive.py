"""Archives are read where they lie, and the dangerous ones are refused by name."""

import io
import tarfile
import zipfile

import pytest

from tinybench.core.errors import DataError
from tinybench.data import archive
from tinybench.data.archive import open_tree

FILES = {"top/a.txt": b"alpha", "top/deep/b.bin": bytes(range(256)) * 40}


def make_zip(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def make_tar(path, files=FILES, extra=()):
    with tarfile.open(path, "w:gz") as file:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
        for member in extra:
            file.addfile(member)
    return path


def make_directory(path):
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    (path / "top/.hidden").write_bytes(b"")
    return path


def special(name, kind, target="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.fixture(params=["zip", "tar", "directory"])
def packed(request, tmp_path):
    makers = {"zip": make_zip, "tar": make_tar, "directory": make_directory}
    return makers[request.param](tmp_path / "packed")


def test_all_kinds_look_the_same(packed):
    with open_tree(packed) as tree:
        assert tree.names == sorted(FILES)
        assert {name: tree.read(name) for name in tree.names} == FILES
        with pytest.raises(KeyError):
            tree.read("missing")


def test_files_below_a_folder_have_names_relative_to_it(packed):
    with open_tree(packed) as tree:
        below = archive.SubTree(tree, "top")
        assert below.names == ["a.txt", "deep/b.bin"]
        assert below.read("a.txt") == b"alpha"
        with pytest.raises(KeyError):
            below.read("top/a.txt")


def test_a_file_of_a_folder_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MEMBER_LIMIT", 5_000)
    with open_tree(make_directory(tmp_path)) as tree:
        assert tree.read("top/a.txt") == b"alpha"
        with pytest.raises(DataError, match=r"b\.bin has more than 5,000 bytes"):
            tree.read("top/deep/b.bin")


def test_reading_leaves_nothing_on_the_disk(tmp_path):
    path = make_zip(tmp_path / "a.zip")
    with open_tree(path) as tree:
        tree.read("top/a.txt")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../evil", "top/../../evil", "/etc/evil", "C:/evil", "top\\..\\..\\evil", "C:evil"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_that_leave_the_target_are_refused(tmp_path, make, name):
    with (
        pytest.raises(DataError, match=r"member .*evil.* (leads out|absolute)"),
        open_tree(make(tmp_path / "a", {name: b""})),
    ):
        pass


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = make_tar(tmp_path / "a.tar.gz", extra=[special("sly", kind)])
    with pytest.raises(DataError, match="'sly' is a link or a device"), open_tree(path):
        pass


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bombs_are_refused(tmp_path, make, monkeypatch):
    path = make(tmp_path / "a", {"bomb": b"\0" * 100_000})
    monkeypatch.setattr(archive, "MEMBER_LIMIT", 50_000)
    with pytest.raises(DataError, match="'bomb' unpacks to more than 50,000 bytes"), open_tree(path):
        pass


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_total_is_limited(tmp_path, make, monkeypatch):
    path = make(tmp_path / "a", {f"part{i}": b"\0" * 1000 for i in range(10)})
    monkeypatch.setattr(archive, "TOTAL_LIMIT", 5_000)
    with pytest.raises(DataError, match="'part5' unpacks to more than 5,000 bytes"), open_tree(path):
        pass


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.9])
def test_truncated_archive_is_one_line_that_says_what_to_do(tmp_path, make, kept):
    path = make(tmp_path / "a", {"top/noise": bytes((i * i * 7919 >> 5) % 251 for i in range(50_000))})
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match="delete it and fetch it again") as caught, open_tree(path) as tree:
        tree.read("top/noise")
    assert "\n" not in str(caught.value)


def test_zip_with_flipped_bytes_is_damaged(tmp_path):
    path = make_zip(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged"), open_tree(path) as tree:
        [tree.read(name) for name in tree.names]


def test_text_is_no_archive(tmp_path):
    path = tmp_path / "a.zip"
    path.write_text("<html>Please log in</html>")
    with pytest.raises(DataError, match=r"a\.zip is damaged, cut short or not an archive"), open_tree(path):
        pass
