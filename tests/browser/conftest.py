"""Headless Chromium on pages of small made-up runs, some of them with names that mean harm."""

import shutil
from pathlib import Path

import pytest

from gen_models.records import Anchor, Curve, Picture, Value
from gen_models.reporting.report import find_runs, write_comparison, write_report
from tests.reporting.conftest import make_record, make_value, save

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
EVIL = "<script>document.title = 'harm'</script>\"'|"
LONG = "x" * 200
# Distance, precision and bound of each model; the reason fills what has no number.
MODELS = {"vae": (3.0, 0.3, -90.0), "gan": (10.0, 0.9, None), EVIL: (2.0, 0.5, -80.0)}
REASON = "this model has neither an encoder nor a density, so that no bound can be had of it"


def values(seed: int, distance: float, precision: float, bound: float | None) -> tuple[Value, ...]:
    """Values in three aspects, one of which no model has."""
    ends = {"floor": Anchor(0.0, "real images"), "ceiling": Anchor(20.0, "uniform noise")}
    likelihood = {"title": f"Bound {EVIL}", "aspect": "likelihood", "better": "higher"}
    none = {"title": "As asked", "aspect": "fidelity", "floor": None, "ceiling": None}
    return (
        *(
            make_value(
                distance + seed / 10,
                f"fid_{view}_1000_test",
                aspect="distance",
                extractor=view,
                error=0.1,
                **ends,
            )
            for view in ("digits64", "random128", "components")
        ),
        make_value(precision, "precision", title="Precision", aspect="fidelity", better="higher"),
        make_value(None, "classes", reason="no classes", **none),
        make_value(bound, f"bound{EVIL}", **likelihood, **({} if bound else {"reason": REASON})),
    )


def save_runs(folder: Path) -> None:
    """Two seeds of each model and one that failed; other data with a name that is very long."""
    pictures = tuple(
        Picture(name, f"{name} {EVIL}", f"pictures/{name}.png", f"a caption {EVIL}")
        for name in ("samples", "reconstructions")
    )
    shown = {"pictures": pictures, "curves": (Curve("validation/fid", (0, 640), (9.0, 4.0)),)}
    for place, (model, numbers) in enumerate(MODELS.items()):
        for seed in range(2):
            made = make_record(model, seed, *values(seed, *numbers), **shown)
            save(folder / f"{place}-{seed}", made)
    save(folder / "failed", make_record("gan", 2, status="failed", reason=f"{LONG} {EVIL}"))
    other = {
        "data": LONG,
        "data_fingerprint": LONG,
        "command": f"python run.py {LONG}",
        "curves": (Curve("train/loss", (0, 640), (9.0, 4.0)),),
    }
    for model in (LONG, "vae"):
        save(folder / f"other-{model[:3]}", make_record(model, 0, **other))


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> dict[str, str]:
    """Addresses of a comparison and of the page of one run."""
    folder = tmp_path_factory.mktemp("runs")
    save_runs(folder)
    comparison, run = write_comparison(folder, find_runs(folder)), write_report(folder / "2-0")
    return {"comparison": comparison.as_uri(), "run": run.as_uri()}


@pytest.fixture(scope="session")
def chromium():
    """A browser, or the reason why there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    if not CHROMIUM:
        pytest.skip("needs chromium on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, pages):
    """Open a page; in the end it must have complained of nothing and asked for no other file."""
    contexts, faults, asked = [], [], set()

    def opened(name: str, width: int = 1400, scheme: str = "light", **options):
        contexts.append(
            chromium.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, **options
            )
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(5000)  # What is not there at once does not come later.
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: asked.add(request.url))
        page.goto(pages[name])
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
    assert {url for url in asked if not url.startswith("data:")} <= set(pages.values())
