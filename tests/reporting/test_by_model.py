"""Tables of models by measurements: the same numbers as the table they are turned from."""

import re

import pytest

from gen_models.records import Anchor
from gen_models.reporting.by_model import ENDS, legend, sheets
from gen_models.reporting.costs import cost_table
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.tables import measurement_table
from tests.reporting.test_report import Page

NUMBER = re.compile(r"\d[\d.,]*")


@pytest.fixture
def many(record, value):
    """Records of three models over two seeds: three aspects and none, anchors, and gaps."""

    def numbers(place, seed):
        x = 1.0 + place + seed / 7
        far = (Anchor(7.0 + place, "the mean image"), Anchor(3.0, "blurred test images"))
        none = {"floor": None, "ceiling": None}
        return (
            value(x, "fid_a", extractor="a", aspect="distance", error=0.2 + seed, anchors=far),
            value(20 * x, "fid_b", extractor="b", aspect="distance", error=0.3, count=77),
            value(x**2, "precision", title="Precision", aspect="fidelity", better="higher"),
            value(x if place else None, "bound", title="Bound", aspect="likelihood"),
            value(None, "rate", title="Rate", aspect="likelihood", **none),
            *([value(5 * x, "extra", title="Extra")] if seed else ()),
        )

    return [
        record(model, seed, *numbers(place, seed))
        for place, model in enumerate(("vae", "gan", "bigan"))
        for seed in (0, 1)
    ]


def shown(cell):
    return NUMBER.findall(" ".join((cell.text, *cell.notes)))


def test_no_number_is_lost_and_each_keeps_its_model(many, groups):
    table = measurement_table(groups(*many))
    turned = {sheet.title: sheet for sheet in sheets(table, 3)}
    assert sum(len(sheet.columns) for sheet in turned.values()) == len(table.rows) - 1
    for title, rows in table.parts:
        sheet = turned[title]
        for row in rows:
            places = [i for i, c in enumerate(sheet.columns) if c.name == row.values[0].name]
            if row.head.text == "Rate":
                assert not places
                continue
            (place,) = places
            head = " ".join(sheet.columns[place].notes)
            for line, cell in zip(sheet.rows, row.cells, strict=False):
                found = line.cells[place]
                assert (found.text, found.key, found.best) == (cell.text, cell.key, cell.best)
                assert set(shown(cell)) <= {*shown(found), *NUMBER.findall(head)}
            foot = {line.head.text: line for line in sheet.foot}
            for end, cell in zip(("Test", "Floor", "Ceiling"), row.cells[3:], strict=True):
                line = foot[ENDS[end]]
                told = (*line.head.notes, *line.cells[place].notes)
                assert line.cells[place].text == cell.text
                assert set(cell.notes) <= set(told)


def test_a_page_has_every_number_of_the_markdown(tmp_path, run, many):
    for made in many:
        run(made)
    folder = tmp_path / "sweep"
    page = Page(write_comparison(folder, find_runs(folder)).read_text())
    _, _, after = (folder / "report.md").read_text().partition("### Measurements")
    # Names of values and models carry numbers too, and stand on the page as they are.
    lines = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    assert len(lines) > 6
    assert {n for line in lines for n in NUMBER.findall(line)} <= set(NUMBER.findall(page.text))


def test_heads_say_once_what_all_cells_share(record, value, groups):
    ends = {"floor": Anchor(0.0, "real images"), "ceiling": Anchor(10.0, "noise")}
    made = groups(
        *(
            record(
                model,
                seed,
                value(
                    2.0 + seed + 3 * place * (1 + seed), "a", aspect="distance", error=0.5, **ends
                ),
                value(3.0, "b", title="One seed", aspect="distance", **ends)
                if seed == 0
                else value(None, "b", title="One seed", aspect="distance", **ends),
            )
            for place, model in enumerate(("vae", "gan"))
            for seed in (0, 1)
        )
    )
    table = measurement_table(made)
    (sheet,) = sheets(table, 2)
    first, second = sheet.columns
    direction = "lower is better ↓"
    assert first.notes == ("squared feature units", direction, "n = 1,000", "over 2 seeds")
    assert second.notes == ("squared feature units", direction, "n = 1,000", "over samples")
    assert (first.name, first.better) == ("a", "lower")
    cells = sheet.rows[0].cells
    assert [cell.notes for cell in cells] == [
        ("25 % · seeds 0.71, run 0.50",),
        ("30 % · 1 of 2 runs n/a: no reason",),
    ]
    floor, ceiling, test = sheet.foot
    assert [line.head.text for line in sheet.foot] == list(ENDS.values())
    assert floor.head.notes == ("real images",)
    assert ceiling.head.notes == ("noise",)
    assert all(cell.notes == () for line in (floor, ceiling) for cell in line.cells)
    assert test.head.notes == ()
    # Differences of 3 and 6: t = 3 with one degree of freedom.
    assert [cell.text for cell in test.cells] == ["p = 0.20", "none"]
    caption, way, doubts, tests = legend(table, 2)
    assert "in the head" in caption
    assert way.endswith("from floor (0 %) to ceiling (100 %).")
    assert '"seeds"' in doubts
    assert tests.startswith("Tests between the models: ")
    clear = groups(
        *(record("vae", seed, value(1 + seed / 9)) for seed in range(3)),
        *(record("gan", seed, value(9 + seed / 7)) for seed in range(3)),
    )
    assert legend(measurement_table(clear), 2)[-1].startswith("Best: ahead of every other model")


def test_where_cells_do_not_agree_each_speaks_for_itself(record, value, groups):
    made = groups(
        record("vae", 0, value(2.0, floor=Anchor(0.0, "digits"))),
        *(record("gan", seed, value(2.0 + seed, count=9)) for seed in (0, 1)),
    )
    (sheet,) = sheets(measurement_table(made), 2)
    assert "n = 9, 1,000" in sheet.columns[0].notes
    assert "not compared: the runs differ in sample count" in sheet.columns[0].notes
    assert [line.cells[0].notes for line in sheet.rows] == [("over samples",), ("over 2 seeds",)]
    floor, ceiling = sheet.foot
    assert (floor.head.notes, ceiling.head.notes) == ((), ("uniform noise",))
    assert floor.cells[0].notes == ("digits", "real training images")


def test_what_no_model_has_is_told_beside_the_table(many, groups):
    likelihood = sheets(measurement_table(groups(*many)), 3)[-1]
    assert [column.name for column in likelihood.columns] == ["bound"]
    (rate,) = likelihood.lacking
    assert (rate.title, rate.name) == ("Rate", "rate")
    assert rate.notes == ("n/a: no reason (vae, gan, bigan)",)


def test_failed_seeds_are_counted_at_the_models_name(record, groups):
    made = groups(record("vae", 0), record("gan", 0), record("gan", 1, status="diverged"))
    (sheet,) = sheets(measurement_table(made), 2)
    assert [(line.head.text, *line.head.notes) for line in sheet.rows] == [
        ("vae", "1 of 1 run finished"),
        ("gan", "1 of 2 runs finished"),
    ]


def test_costs_turn_too_and_have_no_foot(record, groups):
    made = groups(record("vae"), record("gan", parameters={"critic": 7}))
    (sheet,) = sheets(cost_table(made), 2)
    titles = [column.title for column in sheet.columns]
    assert titles[0] == "Images seen"
    gan = dict(zip(titles, (cell.text for cell in sheet.rows[1].cells), strict=True))
    assert (gan["Parameters, critic"], gan["Parameters, generator"]) == ("7", "none")
    assert sheet.foot == ()


def test_one_model_alone_keeps_its_table(tmp_path, run, record):
    run(record("vae", 0))
    folder = tmp_path / "sweep"
    page = Page(write_comparison(folder, find_runs(folder)).read_text())
    assert "sheet" not in {table.get("class") for table in page.all("table")}


def test_real_data_are_no_floor_of_copying_and_a_copy_is_no_trivial_model(record, value, groups):
    ends = {"floor": Anchor(0.9, "validation"), "ceiling": Anchor(-18.0, "training")}
    made = groups(
        *(record(m, 0, value(9.0, "copying_", aspect="memorisation", **ends)) for m in ("a", "b"))
    )
    (sheet,) = sheets(measurement_table(made), 2)
    assert [(line.head.text, line.head.notes) for line in sheet.foot][:2] == [
        ("Floor (held-out images)", ("validation",)),
        ("Ceiling (copies)", ("training",)),
    ]
