"""What is shown of pictures: whose, in which words, and how much of it fits into a page."""

import re
from dataclasses import replace

import pytest

from gen_models.records import Picture
from gen_models.reporting.images import ROOM, Gallery, Shown, galleries, inlined
from gen_models.reporting.report import find_runs, write_comparison, write_report

from .conftest import tiny_png

EVIL = "<script>alert(1)</script> ![x](y) | `b`"
KINDS = ("samples", "reconstructions", "extremes", "neighbours", "interpolation")
# Bytes of each picture, measured: runs on MNIST, and those of versions that wrote grey as colour.
NOW = dict(zip(KINDS, (30_200, 10_500, 7_200, 7_100, 27_400), strict=True))
BEFORE = dict(zip(KINDS, (60_100, 27_800, 14_400, 27_400, 54_100), strict=True))


def pictures(*names, **changes):
    return tuple(Picture(n, n.title(), f"pictures/{n}.png", "A caption.", **changes) for n in names)


def shown(name, size, label="vae, seed 0"):
    return Shown(name, label, "", "", f"{label}/{name}.png", uri="x" * size)


def uris(pictures):
    return [len(picture.uri) for picture in pictures]


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """They take seconds to draw, and are no pictures."""
    monkeypatch.setattr("gen_models.reporting.comparison.plots", lambda groups: ([], {}))


def compared(folder):
    page = write_comparison(folder, find_runs(folder)).read_text()
    return page, (folder / "report.md").read_text()


def test_rows_are_a_list_in_order_and_part_of_the_alternative_text(tmp_path, run, record):
    rows = ("original", f"encoder {EVIL}")
    folder = run(record(pictures=pictures("samples", rows=rows)))
    page, markdown = compared(tmp_path)
    for text in (page, write_report(folder).read_text()):
        legend = re.search(r'<ol class="rows">(.*?)</ol>', text, re.DOTALL).group(1)
        items = re.findall(r"<li>(.*)</li>", legend)
        assert items == ["original", f"encoder {EVIL}".replace("<", "&lt;").replace(">", "&gt;")]
        assert 'alt="Samples of vae, seed 0: A caption. Rows from the top: original; enc' in text
        assert "<script>alert" not in text
    assert "\n1. original\n2. encoder &lt;script&gt;" in markdown
    assert "](y)" not in markdown


def test_pictures_without_rows_have_no_list(tmp_path, run, record):
    folder = run(record())
    assert '<ol class="rows">' not in write_report(folder).read_text()
    assert "Rows from" not in write_report(folder).read_text()


def test_a_caption_in_common_is_said_once_and_others_with_their_picture(tmp_path, run, record):
    for model in ("vae", "gan", "wae"):
        run(record(model, pictures=pictures("samples")))
    page, _ = compared(tmp_path)
    assert page.count(">A caption.<") == 1
    assert "</b>: A caption." not in page
    run(record("two", pictures=(replace(pictures("samples")[0], caption="Another."),)))
    page, _ = compared(tmp_path)
    assert page.count("</b>: A caption.") == 3
    assert page.count("</b>: Another.") == 1


def test_first_seeds_are_inlined_and_of_others_the_samples(tmp_path, run, record):
    for seed in (0, 1, 2):
        for model in ("vae", "gan"):
            run(record(model, seed, pictures=pictures("interpolation", "samples")))
    page, _ = compared(tmp_path)
    assert len(re.findall(r'class="picture[^>]*data:image/png', page)) == 2 + 2 * 3
    links = re.findall(r'<a href="sweep/(\d)/pictures/interpolation.png">(\w+, seed \d)</a>', page)
    assert links == [
        ("2", "vae, seed 1"),
        ("4", "vae, seed 2"),
        ("3", "gan, seed 1"),
        ("5", "gan, seed 2"),
    ]
    assert not re.findall(r'<a href="sweep/\d/pictures/samples.png"', page)


def test_room_goes_to_first_seeds_by_kind_then_to_further_samples():
    samples = Gallery("Samples", (shown("samples", 40), shown("samples", 30, "gan")), ())
    others = (shown("samples", 20, "vae, seed 1"), shown("samples", 20, "vae, seed 2"))
    lines = Gallery(
        "Lines",
        (shown("lines", 25), shown("lines", 5, "gan")),
        (shown("lines", 1, "vae, seed 1"),),
    )
    given = [replace(samples, rest=others), lines]
    for room, kept in (
        (1000, ([40, 30], [20, 20], [25, 5], [0])),
        (120, ([40, 30], [20, 0], [25, 5], [0])),
        (100, ([40, 30], [0, 0], [25, 5], [0])),
        (99, ([40, 30], [0, 0], [25, 0], [0])),
        (94, ([40, 30], [0, 0], [0, 5], [0])),
        (39, ([0, 30], [0, 0], [0, 5], [0])),
    ):
        first, second = inlined(given, room)
        assert tuple(map(uris, (first.first, first.rest, second.first, second.rest))) == kept
    assert not inlined(given, 0)[0].first[0].uri
    assert inlined(given, 0)[0].first[0].linked


def test_a_lost_picture_that_would_be_linked_gets_its_line(tmp_path, run, record):
    run(record(pictures=pictures("interpolation")))
    lost = run(record(seed=1, pictures=pictures("interpolation")))
    (lost / "pictures/interpolation.png").unlink()
    page, _ = compared(tmp_path)
    problem = "Interpolation of vae, seed 1: the file pictures/interpolation.png is missing"
    assert problem in page
    assert 'interpolation.png">' not in page


@pytest.mark.parametrize("lost", [3, 4])
def test_many_lost_pictures_take_one_sentence(tmp_path, run, record, lost):
    for seed in range(5):
        folder = run(record("vae", seed, pictures=pictures("samples")))
        if seed < lost:
            (folder / "pictures/samples.png").unlink()
    page, _ = compared(tmp_path)
    each = "Samples of vae, seed {}: the file pictures/samples.png is missing"
    told = f"4 of 5 are not shown. {each.format(0)}, for one."
    markdown = (tmp_path / "report.md").read_text()
    assert (told in page, told in markdown) == (lost == 4,) * 2
    assert all((each.format(seed) in page) == (lost == 3) for seed in (1, 2))
    assert page.count('class="picture') == 5 - lost


def test_sections_share_the_room_as_they_have_models(tmp_path, run, record, monkeypatch):
    rooms = []

    def noted(groups, page, room):
        rooms.append((len(groups), room))
        return galleries(groups, page, room)

    monkeypatch.setattr("gen_models.reporting.comparison.galleries", noted)
    for model in ("vae", "gan"):
        run(record(model))
    run(record("wae", data="mnist", data_fingerprint="ff"))
    compared(tmp_path)
    assert sorted(rooms) == [(1, ROOM // 3), (2, ROOM * 2 // 3)]


@pytest.mark.parametrize(("sizes", "further"), [(NOW, 20), (BEFORE, 6)], ids=["now", "before"])
def test_ten_models_with_three_seeds_stay_below_five_megabytes(
    tmp_path, run, record, value, sizes, further
):
    values = [value(1.0 + i, f"a_{i}_test", title=f"Measure {i}") for i in range(60)]
    for seed in range(3):
        for model in range(10):
            folder = run(record(f"model{model}", seed, *values, pictures=pictures(*KINDS)))
            for kind, size in sizes.items():
                png = tiny_png()
                (folder / f"pictures/{kind}.png").write_bytes(png + b"\0" * (size - len(png)))
    page, _ = compared(tmp_path)
    assert len(page.encode()) < 5_000_000 - 1_200_000  # which curves may take
    inlined_there = re.findall(r'class="picture[^>]*data:image/png', page)
    assert len(inlined_there) == 10 * len(KINDS) + further
