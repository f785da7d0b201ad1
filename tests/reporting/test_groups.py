"""Groups and sections: which runs are one model over seeds, and which may share a table."""

from dataclasses import replace
from pathlib import Path

import pytest

from gen_models.reporting.groups import sections
from gen_models.reporting.runs import Run


def test_the_same_seed_twice_is_one_draw(record, value, groups):
    (group,) = groups(
        record("vae", 0, value(1.0), created="2026-01-01T00:00:00"),
        record("vae", 0, value(2.0), created="2026-01-03T00:00:00"),
    )
    assert [r.values[0].value for r in group.records] == [2.0]
    assert len(group.repeated) == 1


def test_configurations_that_differ_are_models_apart(record, value, groups):
    made = groups(
        *(
            record(
                "vae", seed, config={"model": {"latent_dim": d}, "seed": seed, "at": f"/r/{seed}"}
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
