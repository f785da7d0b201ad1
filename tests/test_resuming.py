"""What a run folder leaves to be done, and whether the same run is asked for."""

import errno
import multiprocessing
import os
import shutil
from dataclasses import replace

import pytest
import torch

from gen_models.checkpoints import check_room, newest, read_checkpoint
from gen_models.config import RunConfig, explain
from gen_models.errors import UsageError
from gen_models.folders import claim, taken, write_config, write_status
from gen_models.recipes import describe
from gen_models.records import Budget, Record
from gen_models.resuming import again, complete, refuse_changes, settled
from gen_models.training.checkpoint_io import WholeCheckpointIO

CONFIG = RunConfig(
    model={"_target_": "gen_models.models.VAE", "latent_dim": 16},
    data={"_target_": "gen_models.data.Digits", "batch_size": 64, "root": "a"},
    max_images=100,
)
PLAIN = {"state_dict": {}, "training_seconds": 1.0, "noise": {}, "images_seen": 0}


def save(folder, name, seen):
    path = folder / "checkpoints" / name
    WholeCheckpointIO().save_checkpoint({**PLAIN, "images_seen": seen}, path)
    return path


def test_a_changed_configuration_is_refused_by_the_names_of_its_keys(tmp_path):
    write_config(tmp_path, describe(CONFIG.__dict__))
    refuse_changes(tmp_path, describe(CONFIG.__dict__))
    changed = replace(CONFIG, model={**CONFIG.model, "latent_dim": 8}, seed=3)
    with pytest.raises(UsageError) as error:
        refuse_changes(tmp_path, describe(changed.__dict__))
    assert "model.latent_dim is 16 there and 8 here" in str(error.value)
    assert "seed is 0 there and 3 here" in str(error.value)
    assert "\n" not in str(error.value)


def test_budget_places_and_words_may_change(tmp_path):
    write_config(tmp_path, describe(CONFIG.__dict__))
    data = {**CONFIG.data, "root": "b"}
    more = replace(CONFIG, data=data, max_images=200, checks=3, resume=True, evaluate=False)
    refuse_changes(tmp_path, describe(more.__dict__))


def test_what_training_began_with_stays_in_the_record(tmp_path):
    """Left out, the run would be taken for one from scratch; another one would not be looked at."""
    begun = replace(CONFIG, ckpt_path="a.ckpt")
    for own, other in ((begun, CONFIG), (CONFIG, begun), (begun, replace(begun, ckpt_path="b"))):
        write_config(tmp_path, describe(own.__dict__))
        told = f"ckpt_path is {own.ckpt_path} there and {other.ckpt_path} here"
        with pytest.raises(UsageError, match=told):
            refuse_changes(tmp_path, describe(other.__dict__))
        refuse_changes(tmp_path, describe(replace(other, train=False).__dict__))
    refuse_changes(tmp_path, describe(begun.__dict__))


def test_a_model_that_divides_its_budget_goes_on_with_more(tmp_path):
    """As two_stage_vae does, whose configuration has it from `max_images`."""
    config = replace(CONFIG, model={**CONFIG.model, "budget": 100})
    write_config(tmp_path, describe(config.__dict__))
    more = replace(config, model={**config.model, "budget": 200}, max_images=200)
    refuse_changes(tmp_path, describe(more.__dict__))


def test_other_devices_and_places_of_images_may_go_on_with_a_run(tmp_path):
    """As trainer=ddp and data.in_memory=false have them, beside trainer=cpu."""
    plain = describe(CONFIG.__dict__)
    write_config(tmp_path, plain | {"trainer": {"accelerator": "cpu", "precision": "32-true"}})
    ddp = {"accelerator": "auto", "strategy": "ddp", "devices": 2, "num_nodes": 1}
    there = {"trainer": {**ddp, "precision": "32-true"}}
    refuse_changes(tmp_path, plain | there | {"data": {**CONFIG.data, "in_memory": False}})
    with pytest.raises(UsageError, match=r"trainer\.precision is 32-true there"):
        refuse_changes(tmp_path, plain | {"trainer": {**ddp, "precision": "bf16-mixed"}})


@pytest.mark.parametrize(
    ("asked", "status", "seen", "done"),
    [
        ({}, "finished", 100, True),
        ({}, "finished", 64, True),  # of a model that needs less of its budget
        ({"max_images": 200}, "finished", 100, False),
        ({"max_images": 50}, "finished", 100, True),
        ({}, "interrupted", 100, False),
        ({}, "failed", 100, False),
        ({}, "diverged", 64, True),  # it would again
        ({"evaluate": True}, "finished", 100, False),
        ({"train": False}, "finished", 10, True),
    ],
)
def test_what_is_left_to_be_done(asked, status, seen, done, tmp_path):
    config = replace(CONFIG, evaluate=False)
    record = made_record(describe(config.__dict__), status, seen)
    record.write(tmp_path / "record.json")
    assert (complete(tmp_path, replace(config, **asked)) is not None) == done


@pytest.mark.parametrize("limit", ["callbacks", "max_time", "max_epochs"])
def test_a_run_that_another_limit_ended_is_left_to_be_done_without_it(limit, tmp_path):
    free = replace(CONFIG, evaluate=False, trainer={"precision": "32-true"})
    stop = {"callbacks": {"stop": {}}} if limit == "callbacks" else {}
    config = replace(free, trainer=free.trainer | ({} if stop else {limit: 1}), **stop)
    write_config(tmp_path, describe(config.__dict__))
    record = made_record(describe(config.__dict__), "finished", 64)
    record.write(tmp_path / "record.json")
    assert complete(tmp_path, config) == record  # it would end there again
    for other in (free, replace(config, trainer=free.trainer | {"max_time": 2})):
        refuse_changes(tmp_path, describe(other.__dict__))
        assert complete(tmp_path, other) is None
    # Where the budget is spent, nothing is.
    replace(record, budget=Budget(100, 1, 1.0, 0.0)).write(tmp_path / "record.json")
    assert complete(tmp_path, free) is not None


def made_record(config, status, seen):
    return Record(
        status=status,
        model="vae",
        data="digits",
        seed=0,
        created="2026-01-01T00:00:00+00:00",
        command="",
        config=config,
        versions={},
        hardware={},
        shape=(1, 2, 2),
        split={},
        data_fingerprint="0",
        parameters={},
        budget=Budget(seen, 1, 1.0, 0.0),
        reason=None if status == "finished" else "a reason",
    )


def test_last_is_lightnings_word_for_resume():
    assert settled(replace(CONFIG, ckpt_path="last")) == replace(CONFIG, resume=True)
    assert settled(replace(CONFIG, ckpt_path="a.ckpt")).ckpt_path == "a.ckpt"
    with pytest.raises(UsageError, match=r"gen_models\.evaluate"):
        settled(replace(CONFIG, ckpt_path="last", train=False))


def test_the_command_that_goes_on_says_nothing_twice(tmp_path):
    command = "python run.py model=gan 'evaluation/features=[random,components]' resume=true"
    words = "python run.py model=gan 'evaluation/features=[random,components]'"
    assert again(command, "hydra.run.dir", "a/b") == f"{words} hydra.run.dir=a/b resume=true"
    assert again("python run.py ckpt_path=last", "hydra.run.dir", "a,b") == (
        "python run.py 'hydra.run.dir='\"'\"'a,b'\"'\"'' resume=true"
    )


def test_where_the_last_checkpoint_is_damaged_the_one_before_it_is_taken(tmp_path, capsys):
    assert newest(tmp_path) is None
    previous, last = save(tmp_path, "previous.ckpt", 1), save(tmp_path, "last.ckpt", 2)
    assert newest(tmp_path) == last
    content = bytearray(last.read_bytes())
    content[200] ^= 1
    last.write_bytes(content)
    assert newest(tmp_path) == previous
    told = capsys.readouterr().out
    assert told.startswith(f"warning: {last}: damaged: its SHA-256 is ")
    assert told.endswith(f"going on from the one before it, {previous}\n")
    # Where it was asked for by name, nobody takes another one by himself.
    with pytest.raises(UsageError, match=f"damaged.*the one before it is whole: .*{previous.name}"):
        read_checkpoint(last)
    previous.write_bytes(b"")
    with pytest.raises(UsageError, match="remove what is damaged to begin anew"):
        newest(tmp_path)


def test_what_killed_writers_left_is_removed_when_the_folder_is_taken_up(tmp_path):
    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / ".1.png.abc.part").write_text("")
    claim(tmp_path, again=True)
    assert not list(tmp_path.rglob("*.part"))


def hold(folder, pipe):
    with taken(folder):
        pipe.send("taken")
        pipe.recv()


def test_a_folder_where_nothing_was_made_may_be_used_again(tmp_path):
    for status in ("failed", "interrupted"):
        write_status(tmp_path, status)
        claim(tmp_path)
    for kept in ("record.json", "checkpoints"):
        write_status(tmp_path, "failed")
        (tmp_path / kept).mkdir()
        with pytest.raises(UsageError, match="holds a run already"):
            claim(tmp_path)
        (tmp_path / kept).rmdir()


def test_a_folder_that_a_process_works_on_is_refused_until_it_is_dead(tmp_path):
    context = multiprocessing.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path, other))
    process.start()
    try:
        assert mine.recv() == "taken"
        with pytest.raises(UsageError, match="another process is at work on it"), taken(tmp_path):
            pass
    finally:
        process.kill()
        process.join()
    with taken(tmp_path):
        claim(tmp_path)
    with pytest.raises(UsageError, match="resume=true"):
        claim(tmp_path)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.ENOSPC,
            "cannot write a/last.ckpt: No space left on device; what was saved",
        ),
        (errno.EROFS, "a/last.ckpt: Read-only file system"),
        (errno.ENOENT, None),
    ],
)
def test_a_disk_that_takes_nothing_is_one_line(number, message):
    told = explain(OSError(number, os.strerror(number), "a/last.ckpt"))
    assert told is None if message is None else told.startswith(message)


def test_a_disk_too_small_for_the_checkpoints_is_told_of_before_training(tmp_path, monkeypatch):
    model = torch.nn.Linear(999, 1000)  # 4 MB, three times with its optimiser, four checkpoints
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=48_000_001))
    check_room(tmp_path, model)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=47_999_999))
    with pytest.raises(UsageError, match=r"48\.0 MB are left .* need 48\.0 MB"):
        check_room(tmp_path, model)
