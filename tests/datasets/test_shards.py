import io
import json
import os
import tarfile

import pytest

from samkit.datasets.shards import ShardWriter, read_manifest, verify_shards
from samkit.datasets.store import StoreReader
from samkit.datasets.tars import list_tar
from samkit.errors import FormatError, UsageError


def write(folder, photo, records, names, **options):
    with ShardWriter(folder, **options) as writer:
        for name in names:
            if not writer.is_done(name):
                writer.write(photo, records, name=name)


def pack(path, members):
    """A tar of (TarInfo or name, bytes)."""
    with tarfile.open(path, "w") as tar:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def tar_bytes(tmp_path, photo, records):
    """The two files of one pair."""
    write(tmp_path / "made", photo, records, ["a"])
    with tarfile.open(tmp_path / "made/shard-00000.tar") as tar:
        return {name: tar.extractfile(name).read() for name in ("a.jpg", "a.json")}


def test_shards_give_back_what_was_written_and_the_manifest_tells_of_them(
    tmp_path, photo, records, masks
):
    write(tmp_path / "s", photo, records, ["a", "b/c", "d"], shard_bytes=1)
    assert sorted(os.listdir(tmp_path / "s")) == [
        "manifest.json",
        *(f"shard-0000{k}.tar" for k in range(3)),
    ]
    reader = StoreReader(tmp_path / "s")
    assert reader.names == ["a", "b/c", "d"]
    for pair in reader:
        assert pair.records == records
        assert (pair.masks() == masks).all()
        assert pair.image().shape == (48, 64, 3)
        assert pair.source.read(1 << 20) == photo.read_bytes()
    assert reader["b/c"].info.file_name == "c.jpg"
    assert [shard["pairs"] for shard in read_manifest(tmp_path / "s")] == [1, 1, 1]
    assert verify_shards(tmp_path / "s") == []
    assert [p.name for p in StoreReader(tmp_path / "s/shard-00001.tar")] == ["b/c"]


def test_names_in_a_shard_are_sorted_and_unsorted_ones_are_refused(tmp_path, photo, records):
    with ShardWriter(tmp_path) as writer:
        writer.write(photo, records, name="b")
        with pytest.raises(UsageError, match="sort"):
            writer.write(photo, records, name="a")
    with tarfile.open(tmp_path / "shard-00000.tar") as tar:
        assert tar.getnames() == ["b.jpg", "b.json"]


def test_the_same_pairs_give_the_same_bytes(tmp_path, photo, records):
    for folder in ("1", "2"):
        write(tmp_path / folder, photo, records, ["a", "ä"])
    first, second = (read_manifest(tmp_path / folder) for folder in ("1", "2"))
    assert first == second


def test_an_interrupted_run_leaves_whole_shards_and_is_continued(tmp_path, photo, records):
    names = ["a", "b", "c", "d"]
    with pytest.raises(KeyboardInterrupt), ShardWriter(tmp_path / "s", shard_bytes=1) as writer:
        for name in names:
            if name == "c":
                writer._limit = 1 << 30
            if name == "d":
                raise KeyboardInterrupt
            writer.write(photo, records, name=name)
    assert [p.name for p in StoreReader(tmp_path / "s")] == ["a", "b"]
    assert len(os.listdir(tmp_path / "s")) == 3
    write(tmp_path / "s", photo, records, names, shard_bytes=1)
    write(tmp_path / "whole", photo, records, names, shard_bytes=1)
    assert read_manifest(tmp_path / "s") == read_manifest(tmp_path / "whole")


def test_a_shard_that_was_changed_or_is_missing_is_found(tmp_path, photo, records):
    write(tmp_path, photo, records, ["a", "b", "c"], shard_bytes=1)
    with open(tmp_path / "shard-00001.tar", "r+b") as file:
        file.seek(700)
        file.write(b"\x00\x01")
    (tmp_path / "shard-00002.tar").unlink()
    assert [file for file, _ in verify_shards(tmp_path)] == ["shard-00001.tar", "shard-00002.tar"]
    reader = StoreReader(tmp_path)
    assert "a" in reader
    assert "c" not in reader
    assert any("shard-00002" in name for name, _ in reader.broken)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "nonsense",
        '{"format": "samkit shards", "version": 1, "shards": [{"file": "../x.tar"}]}',
        '{"format": "samkit shards", "version": 2, "shards": []}',
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(FormatError, match="manifest"):
        StoreReader(tmp_path)


def test_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path, photo, records):
    write(tmp_path, photo, records, ["a"])
    value = json.loads((tmp_path / "manifest.json").read_bytes())
    value["shards"][0]["file"] = "../elsewhere.tar"
    (tmp_path / "manifest.json").write_text(json.dumps(value))
    with pytest.raises(FormatError):
        StoreReader(tmp_path)


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_hostile_members_are_refused_by_name_and_the_rest_is_read(tmp_path, tar_bytes, records):
    path = pack(
        tmp_path / "hostile.tar",
        [
            ("/etc/passwd.json", b"{}"),
            ("../../up.json", b"{}"),
            ("x/../../up.json", b"{}"),
            ("x\\y.json", b"{}"),
            (special("link.json", tarfile.SYMTYPE, "/etc/passwd"), b""),
            (special("hard.json", tarfile.LNKTYPE, "a.json"), b""),
            (special("device.json", tarfile.CHRTYPE), b""),
            (special("pipe.json", tarfile.FIFOTYPE), b""),
            (special("sub", tarfile.DIRTYPE), b""),
            ("./a.jpg", tar_bytes["a.jpg"]),
            ("./a.json", tar_bytes["a.json"]),
            ("a.json", b"{}"),
        ],
    )
    found, refused = list_tar(path)
    assert sorted(found) == ["a.jpg", "a.json"]
    assert len(refused) == 9
    reader = StoreReader(path)
    assert [pair.records for pair in reader] == [records]
    assert len(reader.broken) == 9


def test_a_member_that_claims_to_be_huge_is_refused(tmp_path, tar_bytes):
    header = tarfile.TarInfo("a.jpg")
    header.size = 1 << 40
    path = tmp_path / "huge.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"\0" * 512)
    found, refused = list_tar(path)
    assert found == {}
    assert any("too large" in sentence for _, sentence in refused)


def test_a_member_whose_size_is_below_zero_ends_the_listing(tmp_path):
    """Such a header sends a tar reader that trusts it round and round."""
    pax = b"20 size=-1024000000\n"
    header = tarfile.TarInfo("PaxHeaders/a.json")
    header.type, header.size = tarfile.XHDTYPE, len(pax)
    member = tarfile.TarInfo("a.json")
    path = tmp_path / "loop.tar"
    path.write_bytes(header.tobuf() + pax.ljust(512, b"\0") + member.tobuf() + b"\0" * 2048)
    found, refused = list_tar(path)
    assert found == {}
    assert refused


def test_a_tar_that_was_cut_short_gives_what_comes_before(tmp_path, photo, records):
    write(tmp_path / "s", photo, records, ["a", "b"])
    data = (tmp_path / "s/shard-00000.tar").read_bytes()
    whole = [pair.name for pair in StoreReader(tmp_path / "s")]
    assert whole == ["a", "b"]
    seen = set()
    for end in range(0, len(data), 200):
        path = tmp_path / "cut.tar"
        path.write_bytes(data[:end])
        reader = StoreReader(path)
        names = [pair.name for pair, _ in reader.with_images()]
        assert names == whole[: len(names)]
        assert len(names) == 2 or reader.broken
        seen.add(len(names))
    assert seen == {0, 1, 2}


def test_a_compressed_tar_is_refused_in_one_sentence(tmp_path, tar_bytes):
    path = tmp_path / "packed.tar"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.json"))
    reader = StoreReader(path)
    assert list(reader) == []
    assert "uncompressed" in dict(reader.broken)[str(path)]


def test_official_shards_without_a_manifest_are_read_tar_by_tar(tmp_path, tar_bytes):
    for tar, name in (("sa_1", "sa_9"), ("sa_0", "sa_7"), ("sa_2", "sa_9")):
        members = [(f"./{name}.{suffix}", tar_bytes[f"a.{suffix}"]) for suffix in ("jpg", "json")]
        pack(tmp_path / f"{tar}.tar", members)
    reader = StoreReader(tmp_path)
    assert [pair.name for pair in reader] == ["sa_7", "sa_9"]
    assert ["earlier tar" in sentence for _, sentence in reader.broken] == [True]
