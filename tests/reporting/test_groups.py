"""Groups and sections: which runs are one model over seeds, and which may share a table."""

from dataclasses import replace
from pathlib import Path

import pytest

from gen_models.reporting.costs import cost_table
from gen_models.reporting.findings import all_findings
from gen_models.reporting.groups import sections
from gen_models.reporting.runs import Run
from gen_models.reporting.tables import measurement_table


def test_the_same_seed_twice_is_one_draw(record, value, groups):
    (group,) = groups(
        record("vae", 0, value(2.0), created="2026-01-03T00:00:00"),
        record("vae", 0, value(1.0), created="2026-01-01T00:00:00"),
    )
    assert [r.values[0].value for r in group.records] == [2.0]
    assert len(group.repeated) == 1


def test_configurations_that_differ_are_models_apart(record, value, groups):
    made = groups(
        *(
            record(
                "vae",
                seed,
                config={
                    "model": {"latent_dim": d},
                    "seed": seed,
                    "data": {"root": f"/r/{seed}"},
                    "logger": {"mine": {"at": f"/r/{seed}"}},
                    "callbacks": {"mine": {"at": rf"C:\r\{seed}"}},
                },
            )
            for seed in (0, 1)
            for d in (8, 16)
        )
    )
    assert [(group.label, len(group.finished)) for group in made] == [
        ("vae (latent_dim=8)", 2),
        ("vae (latent_dim=16)", 2),
    ]


def test_many_differences_still_give_labels_of_their_own(record, groups):
    made = groups(*(record(config={"a": 1, "b": 1, "c": 1, "d": d}, seed=d) for d in (1, 2)))
    assert len({group.label for group in made}) == 2
    # Four keys differ, of which the label shows two, and these agree for the last two runs.
    sweep = [{"a": a, "b": a, "c": c, "d": c} for a, c in ((1, 1), (2, 1), (2, 2))]
    made = groups(*(record(config=config, seed=i) for i, config in enumerate(sweep)))
    assert len({group.label for group in made}) == 3


SEEDS = (0, 1)


def from_files(record, groups, **files):
    """Labels of two seeds of each name, with a file for each seed, and their counts."""
    runs = [
        record("gan", seed, config={"model": {"latent_dim": 8}, key: path.format(seed=seed)})
        for key, paths in files.items()
        for path in paths
        for seed in SEEDS
    ]
    return [(group.label, len(group.finished), len(group.repeated)) for group in groups(*runs)]


def test_sets_of_one_name_are_seeds_and_those_of_one_seed_are_compared(record, groups):
    """Without a name, two programs' `samples.npz` have the same one."""
    assert from_files(record, groups, samples=["/flow/{seed}.npz"]) == [("gan", 2, 0)]
    named = [
        record("samples", config={"seed": 0, "samples": f"/{name}/samples.npz"}, created=created)
        for name, created in (
            ("diffusion", "2026-01-01T00:00:00"),
            ("flow", "2026-01-02T00:00:00"),
            ("flow", "2026-01-03T00:00:00"),
        )
    ]
    made = groups(*named)
    assert [(group.label, len(group.finished), len(group.repeated)) for group in made] == [
        ("samples (samples=/diffusion/samples.npz)", 1, 0),
        ("samples (samples=/flow/samples.npz)", 1, 1),
    ]


def test_checkpoints_are_told_apart_by_name_and_where_a_seed_has_two_by_folder(record, groups):
    best, last = "/r/{seed}/best.ckpt", "/r/{seed}/last.ckpt"
    assert from_files(record, groups, ckpt_path=[best]) == [("gan", 2, 0)]
    assert from_files(record, groups, ckpt_path=[best, last]) == [
        ("gan (ckpt_path=best.ckpt)", 2, 0),
        ("gan (ckpt_path=last.ckpt)", 2, 0),
    ]
    assert from_files(record, groups, ckpt_path=["/a/last.ckpt", "/b/last.ckpt"]) == [
        ("gan (folder=/a)", 2, 0),
        ("gan (folder=/b)", 2, 0),
    ]


def test_a_start_from_a_checkpoint_is_no_start_from_scratch(record, groups):
    starts = (None, "/pre/last.ckpt", None)
    made = groups(*(record(seed=s, config={"ckpt_path": p}) for s, p in enumerate(starts)))
    assert [(group.label, len(group.finished)) for group in made] == [
        ("vae (ckpt_path=null)", 2),
        ("vae (ckpt_path=last.ckpt)", 1),
    ]


def test_that_seeds_are_of_different_files_is_said(record, groups):
    paths = [f"/flow/{seed}.npz" for seed in SEEDS]
    made = groups(*(record(seed=s, config={"samples": path}) for s, path in enumerate(paths)))
    assert all_findings(made, measurement_table(made), cost_table(made))["Conditions"][-1] == (
        "vae: its runs are of different files, and count as seeds of one model (samples)."
    )


def test_a_run_that_a_limit_cut_short_is_told_of(record, groups):
    reason = "stopped at 64 of 100 images by trainer.max_epochs=1"
    made = groups(record(seed=0), record(seed=1, reason=reason))
    assert len(made) == 1
    told = all_findings(made, measurement_table(made), cost_table(made))["Conditions"]
    assert f"vae: seed 1 {reason}." in told


def test_a_value_with_a_slash_or_an_umlaut_is_a_value(record, groups):
    for values in (("a/b", "a/c"), ("größe", "size")):
        made = groups(*(record(seed=s, config={"note": v}) for s, v in enumerate(values)))
        assert [group.label for group in made] == [f"vae (note={value})" for value in values]


OLD = {"model": {"latent_dim": 16}, "max_images": 9}
NEW = {"model": {"latent_dim": 16, "packing": 1, "part": {"size": 3}}, "max_images": 9}


@pytest.mark.parametrize(
    ("old", "new", "words", "alone"),
    [
        (OLD, NEW, ("", ""), False),
        (OLD, NEW, (" max_images=9", ""), False),
        (OLD, NEW, (" model.packing=1",) * 2, False),
        (OLD, NEW, ("", " model.packing=1"), True),
        (OLD, NEW, ("", " model/part=small"), True),
        (OLD, NEW, ("", " +model.part={size: 3}"), True),
        (OLD, NEW, (" ~model.packing", ""), True),
        (OLD, NEW, (" experiment=grid", ""), True),
        (OLD, NEW | {"max_images": 8}, ("", ""), True),
        (OLD | {"callback": None}, NEW | {"callback": {"rate": 1}}, ("", ""), True),
    ],
)
def test_a_key_that_came_later_has_its_default_in_older_runs(
    record, groups, old, new, words, alone
):
    """What was asked for in one run alone is another model, though its value be the default."""
    made = groups(
        *(
            record(config=config, seed=seed, command=f"python run.py seed={seed}{asked}")
            for seed, (config, asked) in enumerate(zip((old, new), words, strict=True))
        )
    )
    assert len(made) == 1 + alone
    assert made[0].label == "vae" or alone


def test_defaults_are_those_of_the_runs_that_did_not_ask(record, groups):
    """Of two values the one that nobody asked for is the default; where there are two, none is."""

    def labels(*packings):
        model = {"latent_dim": 16}
        asked = [{}, *({"packing": packing} for packing in packings)]
        commands = ["", *(f" model.packing={p}" if p == 2 else "" for p in packings)]
        return [
            group.label
            for group in groups(
                *(
                    record(seed=i, config={"model": model | more}, command=f"python run.py{words}")
                    for i, (more, words) in enumerate(zip(asked, commands, strict=True))
                )
            )
        ]

    assert labels(1, 2) == ["vae (packing=1)", "vae (packing=2)"]
    assert labels(1, 3) == ["vae (packing=absent)", "vae (packing=1)", "vae (packing=3)"]


def test_what_a_program_of_ones_own_ran_is_not_guessed(record, groups):
    made = groups(*(record(config=c, seed=i, command="mine") for i, c in enumerate((OLD, NEW))))
    assert len(made) == 2


def measured(samples, seed):
    return {"model": {"latent_dim": 16}, "evaluation": {"samples": samples}, "seed": seed}


def test_how_a_run_was_measured_makes_no_other_model(record, groups):
    made = groups(*(record(seed=s, config=measured(n, s)) for s, n in enumerate((None, None, 500))))
    assert [(group.label, len(group.finished)) for group in made] == [("vae", 3)]
    (told,) = all_findings(made, measurement_table(made), cost_table(made))["Conditions"][-1:]
    assert told == (
        "vae: its runs were measured by different settings; each number counts those that have it"
        " (evaluation.samples)."
    )


def test_how_training_was_watched_makes_no_other_model(record, groups):
    quiet = {"logger": {}, "trainer": {"enable_progress_bar": False, "precision": 32}}
    loud = {"logger": {"name": ""}, "trainer": {"enable_progress_bar": True, "precision": 32}}
    made = groups(*(record(seed=s, config=c) for s, c in enumerate((quiet, loud))))
    assert [(group.label, len(group.finished)) for group in made] == [("vae", 2)]
    told = all_findings(made, measurement_table(made), cost_table(made))
    assert "Conditions" not in told
    other = loud | {"trainer": {"enable_progress_bar": True, "precision": 16}}
    made = groups(*(record(seed=s, config=c) for s, c in enumerate((quiet, other))))
    assert [group.label for group in made] == ["vae (precision=32)", "vae (precision=16)"]


@pytest.mark.parametrize(
    ("key", "before", "behind"),
    [
        ("resume", False, True),
        ("save_seconds", 300.0, 60.0),
        ("data.download", False, True),
        ("data.in_memory", "auto", False),
    ],
)
def test_how_a_run_went_on_makes_no_other_model(record, groups, key, before, behind):
    """A sweep that was ended and gone on with has seeds of the first command and of the second."""

    def config(value):
        part, _, name = key.rpartition(".")
        return {"model": {"latent_dim": 16}, **({part: {name: value}} if part else {name: value})}

    made = groups(*(record(seed=s, config=config(v)) for s, v in enumerate((before, behind))))
    assert [(group.label, len(group.finished)) for group in made] == [("vae", 2)]
    told = all_findings(made, measurement_table(made), cost_table(made))
    assert "Conditions" not in told


def test_a_run_that_was_not_measured_is_no_other_model(record, groups):
    made = groups(
        *(
            record(seed=s, config={"evaluate": e}, values=() if not e else record().values)
            for s, e in enumerate((True, True, False))
        )
    )
    assert [(group.label, len(group.finished)) for group in made] == [("vae", 3)]
    table = measurement_table(made)
    assert [row.values[0].name for row in table.rows] == ["fid_digits64_1000_test"]
    assert "measured by different settings" in str(all_findings(made, table, cost_table(made)))


def test_a_seed_that_was_measured_in_two_ways_is_compared_with_itself(record, groups):
    made = groups(*(record(seed=s, config=measured(n, s)) for s in (0, 1) for n in (100, 500)))
    assert [(g.label, len(g.finished)) for g in made] == [
        ("vae (samples=100)", 2),
        ("vae (samples=500)", 2),
    ]


def test_that_older_runs_lack_a_key_is_said(record, groups):
    made = groups(*(record(config=c, seed=i) for i, c in enumerate((OLD, NEW))))
    told = all_findings(made, measurement_table(made), cost_table(made))["Conditions"]
    assert told[-1] == (
        "vae: older runs lack keys that came later, and count as run by the defaults"
        " (model.packing and model.part.size)."
    )
    same = groups(*(record(config=OLD, seed=i) for i in (0, 1)))
    assert "older" not in str(all_findings(same, measurement_table(same), cost_table(same)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data_fingerprint": "ffff"}, "data fingerprint ffff instead of 0123456789ab"),
        ({"shape": (3, 32, 32)}, "shape 3 × 32 × 32 instead of 1 × 16 × 16"),
        ({"split": {"train": 9}}, "split train 9 instead of test 360"),
    ],
)
def test_other_data_get_a_section_of_their_own(record, change, why):
    runs = [Run(Path("0"), record()), Run(Path("1"), replace(record("gan"), **change))]
    first, second = sections(runs)
    assert (first.why, [group.label for group in second.groups]) == ("", ["gan"])
    assert why in second.why


def test_a_part_of_a_model_is_named_by_its_place_and_class(record, groups):
    """A factory is two keys in the configuration, and one difference to a reader."""

    def part(kind):
        target = {"_target_": f"gen_models.distributions.{kind}", "_partial_": True}
        return {"model": {"posterior": target}} if kind else {"model": {"posterior": None}}

    made = groups(*(record(config=part(kind)) for kind in ("DiagonalGaussian", "")))
    assert [group.label for group in made] == [
        "vae (posterior=DiagonalGaussian)",
        "vae (posterior=null)",
    ]


def test_variants_that_would_read_alike_are_numbered(record, groups):
    made = groups(*(record(config={"a": value}, seed=0) for value in (1, "1")))
    assert [group.label for group in made] == [
        "vae (variant 1, a=1, ...)",
        "vae (variant 2, a=1, ...)",
    ]
