"""Studies: each number that their texts claim is found in the report of their committed records."""

import re
from html import unescape
from pathlib import Path

import pytest

from gen_models.reporting.groups import CROWD
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.runs import Run, read_run

ROOT = Path(__file__).parent.parent
STUDIES = sorted(path.parent for path in (ROOT / "benchmarks" / "quality").glob("*/README.md"))
CLAIM = re.compile(r"-?\d[\d.,]* \[-?\d[\d.,]*, -?\d[\d.,]*\]|p [=<] 0\.\d+")
PLACE = re.compile(r'"(/|[A-Z]:\\\\)')
by_name = pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What the report says of each study's records, as Markdown."""
    told = {}
    for study in STUDIES:
        folder = tmp_path_factory.mktemp(study.name)
        write_comparison(folder, find_runs(study))
        told[study.name] = plain((folder / "report.md").read_text())
    return told


def plain(text):
    """Markdown without emphasis and line breaks; a p value's spaces may be hard ones."""
    return " ".join(unescape(text).replace("**", "").replace("\u00a0", " ").split())


def claims(path):
    """Every number with an interval, and every p value, of a text."""
    return CLAIM.findall(plain(path.read_text()))


@by_name
def test_every_claim_is_in_the_report_of_the_records(study, reports):
    claimed = claims(study / "README.md")
    assert claimed, "a study answers with numbers and intervals"
    assert not [claim for claim in claimed if claim not in reports[study.name]]


def test_the_main_table_is_in_a_study(reports):
    claimed = claims(ROOT / "README.md")
    assert claimed
    assert not [claim for claim in claimed if all(claim not in told for told in reports.values())]


@by_name
def test_every_record_is_whole_finished_and_of_no_machine(study):
    runs = [read_run(folder) for folder in find_runs(study)]
    assert all(isinstance(run, Run) and run.record.status == "finished" for run in runs)
    assert len({(run.record.commit or "").endswith("-dirty") for run in runs} | {False}) == 1
    for run in runs:
        assert not PLACE.search((run.folder / "record.json").read_text())
        # A search's many runs would weigh megabytes: their pictures are made again by the command.
        if len(runs) <= CROWD:
            assert all((run.folder / picture.file).exists() for picture in run.record.pictures)


@by_name
def test_the_command_stands_beside_the_answer(study):
    text = (study / "README.md").read_text()
    assert all(f"**{part}.**" in text for part in ("Question", "Answer", "Command"))
    assert "python run.py" in text


def test_the_identity_holds_at_every_point_of_training():
    gaps = []
    for folder in find_runs(ROOT / "benchmarks" / "quality" / "elbo_gap"):
        curves = {c.name.removesuffix("/identity_nats"): c for c in read_run(folder).record.curves}
        exact, bound, gap = (curves[k].values for k in ("log p(x)", "ELBO", "KL(q || p(z|x))"))
        for whole, part, rest in zip(exact, bound, gap, strict=True):
            assert abs(whole - part - rest) < 3e-14
        gaps.append((gap[0], gap[-1]))
    assert len(gaps) == 6
    assert all(first > 0.22 and last < 0.00083 for first, last in gaps)


def test_what_a_search_buys_is_what_its_report_says(reports):
    told = plain((ROOT / "benchmarks/quality/search_budget/README.md").read_text())
    for scores in (("21.41", "14.72", "13.32"), ("54.89", "36.94", "32.28")):
        one, five, everything = scores
        said = f"{one} for 1, {five} for 5, {everything} for 24 of 24 configurations"
        assert said in reports["search_budget"]
        assert all(score in told for score in scores)
