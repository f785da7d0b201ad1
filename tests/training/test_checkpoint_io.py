"""Checkpoints on a disk that fills, a machine that dies, and bits that flip."""

import errno
import os
import random
import resource
from pathlib import Path

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.records import files, whole
from gen_models.training.checkpoint_io import WholeCheckpointIO, damage, read_sealed

HELD = {"weights": torch.arange(30_000.0), "counts": [1, 2.5, "three"], "images_seen": 7}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpointIO().save_checkpoint(HELD, path)
    return path


def test_a_checkpoint_is_read_by_us_and_by_torch(saved):
    for read in (read_sealed(saved), torch.load(saved, weights_only=True)):
        assert torch.equal(read["weights"], HELD["weights"])
        assert read["counts"] == HELD["counts"]
    assert os.listdir(saved.parent) == ["last.ckpt"]


def test_any_single_flipped_bit_is_noticed(saved):
    whole_file = saved.read_bytes()
    random.seed(0)
    places = [random.randrange(8 * len(whole_file)) for _ in range(300)]
    seal = 8 * (len(whole_file) - 71)  # the checksum itself is as good as any
    missed = []
    for place in [*places, *range(seal, 8 * len(whole_file), 7)]:
        broken = bytearray(whole_file)
        broken[place // 8] ^= 1 << place % 8
        saved.write_bytes(broken)
        if damage(saved) is None and read_differs(saved):
            missed.append(place)
    assert missed == []
    saved.write_bytes(whole_file)
    assert damage(saved) is None


def read_differs(path):
    try:
        read = read_sealed(path)
    except UsageError:
        return False
    return not torch.equal(read["weights"], HELD["weights"]) or read["counts"] != HELD["counts"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_told_of_in_one_line(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UsageError, match=r"last\.ckpt: not a readable checkpoint") as error:
        read_sealed(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"<html>404</html>", os.urandom(5000)])
def test_what_is_no_checkpoint_is_told_of_in_one_line(saved, content):
    saved.write_bytes(content)
    assert damage(saved).startswith("not a readable checkpoint")


def test_a_checkpoint_of_another_program_is_held_against_the_archives_own_sums(tmp_path):
    path = tmp_path / "plain.ckpt"
    torch.save(HELD, path)
    assert damage(path) is None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "does not fit its checksum" in damage(path)


def test_the_one_before_is_kept(saved):
    previous = saved.with_name("previous.ckpt")
    for number in (8, 9):
        kept = {"previous": previous}
        WholeCheckpointIO().save_checkpoint({**HELD, "images_seen": number}, saved, kept)
    assert [read_sealed(p)["images_seen"] for p in (saved, previous)] == [9, 8]


def test_a_full_disk_is_told_of_and_the_old_checkpoint_stays(saved):
    """By a limit on the size of files, at which writing fails as on a full disk."""
    before = saved.read_bytes()
    for limit in (0, 10, len(before) // 2, len(before) - 80, len(before) - 5):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError, match=r"last\.ckpt") as error:
                WholeCheckpointIO().save_checkpoint({**HELD, "images_seen": 8}, saved)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert error.value.errno == errno.EFBIG
        assert saved.read_bytes() == before
        assert os.listdir(saved.parent) == ["last.ckpt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_takes_nothing_is_told_of(saved):
    """Lightning's own way returns without a word and without a file."""
    saved.parent.chmod(0o555)
    for place in saved.parents[1:3]:
        place.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            WholeCheckpointIO().save_checkpoint(HELD, saved.parent / "new.ckpt")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_a_save_that_dies_at_any_step_leaves_both_checkpoints_whole(saved, step):
    previous = saved.with_name("previous.ckpt")
    kept = {"previous": previous}
    WholeCheckpointIO().save_checkpoint({**HELD, "images_seen": 8}, saved, kept)
    times = 2 if step != "link" else 1
    for count in range(1, times + 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, step, dying(getattr(os, step), count))
            patch.setattr(Path, "unlink", lambda *_, **__: None)  # who is dead tidies nothing
            with pytest.raises(Dead):
                WholeCheckpointIO().save_checkpoint({**HELD, "images_seen": 9}, saved, kept)
        assert read_sealed(saved)["images_seen"] == 8
        assert read_sealed(previous)["images_seen"] in (7, 8)
    files.remove_parts(saved.parent)
    assert sorted(os.listdir(saved.parent)) == ["last.ckpt", "previous.ckpt"]


class Dead(BaseException):
    pass


def dying(call, count):
    left = iter(range(count - 1, -1, -1))

    def die(*arguments):
        if next(left) == 0:
            raise Dead
        return call(*arguments)

    return die


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    """In two containers both may be process number 1."""
    with whole(tmp_path / "a") as one, whole(tmp_path / "a") as two:
        one.write_text("one")
        two.write_text("two")
        assert one != two
    assert (tmp_path / "a").read_text() == "one"
    assert os.listdir(tmp_path) == ["a"]
