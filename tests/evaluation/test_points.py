"""Data in floats: samples are compared unrounded, by their coordinates."""

from functools import cache, partial

import pytest
import torch
from PIL import Image

from gen_models.data import Ring
from gen_models.data.images import ImageSet
from gen_models.errors import UsageError
from gen_models.evaluation import (
    Classes,
    Coordinates,
    Copies,
    Evidence,
    FrechetDistance,
    KernelDistance,
    Memorisation,
    Neighbourhoods,
    RandomConvolutions,
    Reconstruction,
    default_extractor,
    evaluate,
    second_extractor,
)
from gen_models.evaluation.contract import as_floats, take_in
from gen_models.evaluation.given import GivenSamples
from gen_models.evaluation.pictures import Grid, gallery, sample_picture
from gen_models.evaluation.scatter import Scatter, are_points, sample_scatter
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance
from gen_models.evaluation.statistics.kernel import kernel_distance
from gen_models.evaluation.statistics.ladder import corrupted
from gen_models.evaluation.statistics.pairs import Pairs

from .models import Complete, by_name
from .models import evidence as byte_evidence


@cache
def ring():
    data = Ring(count=2000, test_count=1000)
    data.setup()
    return data


def evidence(model, samples=1000):
    data = ring()
    return Evidence(
        model=model,
        train=data.train,
        validation=data.validation,
        real=data.test,
        split="test",
        extractors=(Coordinates(data.shape, data.name),),
        samples=samples,
        seed=0,
        device=torch.device("cpu"),
        density=data.density,
    )


def test_floats_are_taken_in_as_they_are():
    pixels = torch.tensor([-0.25, 0.1234567, 1.5, 0.999999]).view(1, 1, 1, 4)
    taken = take_in(pixels, torch.float32)
    assert torch.equal(taken.images, pixels)
    assert taken.clamped == 0
    assert take_in(pixels.double(), torch.float32).images.dtype == torch.float32
    rounded = take_in(pixels, torch.uint8)
    assert rounded.images.flatten().tolist() == [0, 31, 255, 255]
    assert rounded.clamped == 2


def test_bytes_among_floats_become_pixels():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    assert as_floats(images).images.flatten().tolist() == pytest.approx([0, 0.2, 1])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 2), "shape"),
        (torch.zeros(3, 1, 1, 2, dtype=torch.int64), "int64"),
        (torch.full((3, 1, 1, 2), torch.nan), "the first is number 7"),
        (torch.full((3, 1, 1, 2), torch.inf), "the first is number 7"),
    ],
)
def test_what_is_no_float_image_is_refused(images, message):
    with pytest.raises(UsageError, match=message):
        as_floats(images, first=7)


def test_samples_of_float_data_are_not_rounded():
    points = ring().train.images[:300] + 1e-4
    about = evidence(GivenSamples(points), samples=300)
    assert torch.equal(about.drawn.images, points)
    assert torch.equal(about.views[0].samples.fake.features, points.flatten(1))
    assert about.drawn.clamped == 0
    assert byte_evidence(Complete()).drawn.images.dtype == torch.uint8


def test_a_shift_costs_its_square():
    # Far below the step of a byte, and partly outside [0, 1].
    for shift in (0.001, 0.7):
        model = GivenSamples(ring().test.images + shift)
        [value, *_] = evaluate(evidence(model), [FrechetDistance()])
        assert value.name == "fid_coordinates2_1000_test"
        assert value.value == pytest.approx(2 * shift**2, rel=1e-3)
        assert "floats, not rounded" in value.protocol


def test_equal_points_are_at_no_distance_and_in_all_neighbourhoods():
    instruments = [KernelDistance(), Neighbourhoods()]
    values = by_name(evaluate(evidence(GivenSamples(ring().test.images)), instruments))
    for key in ("precision_k3", "recall_k3", "coverage_k5"):
        assert values[f"{key}_coordinates2_1000_test"].value == 1


def test_distances_of_points_are_those_of_their_coordinates():
    points = ring().validation.images
    model = GivenSamples(points)
    values = by_name(evaluate(evidence(model, len(points)), [FrechetDistance(), KernelDistance()]))
    real, fake = (x.flatten(1) for x in (ring().test.images, points))
    name = f"coordinates2_{len(points)}_test"
    expected = frechet_distance(Moments.of(real), Moments.of(fake))
    assert values[f"fid_{name}"].value == pytest.approx(expected, rel=1e-9)
    kernel = kernel_distance(Pairs.of(real=real, fake=fake, neighbours=5)).value
    assert values[f"kid_{name}"].value == pytest.approx(kernel, rel=1e-4)


def test_stand_ins_are_stored_as_the_data_are():
    about = evidence(None)
    noise, train = about.stand_in("noise"), ring().train.images
    low, high = train.aminmax()
    assert noise.shape == (1000, 1, 1, 2)
    assert noise.dtype == torch.float32
    assert low <= noise.min() < low + 0.01
    assert high - 0.01 < noise.max() <= high
    # Uniform: mean and variance of the range.
    assert (noise.mean() - (low + high) / 2).abs() < 4 * (high - low) / (12 * 2000) ** 0.5
    assert noise.var() == pytest.approx(((high - low) ** 2 / 12).item(), rel=0.1)
    assert torch.equal(noise, about.stand_in("noise"))
    mean = about.stand_in("mean")
    assert mean.shape == (1000, 1, 1, 2)
    torch.testing.assert_close(mean[0].double(), train.double().mean(0), rtol=1e-6, atol=0)
    assert torch.equal(about.stand_in("training"), train[:1000])


def test_noise_of_bytes_is_the_same_as_ever():
    generator = torch.Generator().manual_seed(0)
    expected = torch.randint(0, 256, (1000, 1, 16, 16), generator=generator, dtype=torch.uint8)
    assert torch.equal(byte_evidence(None).stand_in("noise"), expected)


def test_a_level_of_the_ladder_of_points_reads_as_itself():
    train = ring().train.images[:1000]
    worse = corrupted(train, "noise", 0.1, seed=0)
    assert worse.dtype == torch.float32
    assert (worse < 0).any()
    assert (worse - train).std() == pytest.approx(0.1, rel=0.05)
    values = by_name(evaluate(evidence(GivenSamples(worse)), [FrechetDistance()]))
    assert values["fid_as_noise_coordinates2_1000_test"].value == pytest.approx(0.1, rel=1e-3)


def test_points_are_not_blurred():
    values = evaluate(evidence(GivenSamples(ring().test.images)), [FrechetDistance("blur")])
    assert all("no neighbours to be blurred with" in value.reason for value in values)


def test_repeats_and_copies_of_points_are_counted():
    train = ring().train.images
    model = GivenSamples(torch.cat([train[:30], ring().test.images[:20], train[:50] + 1e-7]))
    values = by_name(evaluate(evidence(model, samples=100), [Copies()]))
    # A ten-millionth is a step of float32 for some values, and none for others.
    same = (train[:50] + 1e-7 == train[:50]).flatten(1).all(1)
    assert values["copies_100"].value == (30 + same.sum()) / 100
    assert values["duplicates_100"].value == same[:30].sum() / 100


def test_points_outside_0_to_1_are_not_said_to_lie_within():
    [*_, clamped] = evaluate(evidence(GivenSamples(ring().test.images - 5)), [Copies()])
    assert clamped.name == "clamped_1000"
    assert clamped.value is None
    assert "the data are floats" in clamped.reason


def test_memorisation_sees_copies_among_points():
    copies, fresh = (
        by_name(evaluate(evidence(GivenSamples(images)), [Memorisation()]))[
            "copying_coordinates2_1000_test"
        ]
        for images in (ring().train.images[:1000], Ring(count=2000, draw_seed=1).load()[0].images)
    )
    assert copies.value < -10
    assert abs(fresh.value) < 4


@pytest.mark.parametrize(
    ("line", "reason"), [([1.0], "no angles"), ([1.0, 2.0, -3.0], "at no angle to training images")]
)
def test_copies_are_not_told_by_angles_where_there_are_none(line, reason):
    """On a line through 0 all cosines are 1 or -1; the penalty was 10^9 for new points."""
    points = torch.randn(1500, 1) * torch.tensor(line)
    train, test, fake = points.view(3, 500, 1, 1, len(line))
    data = Evidence(
        model=GivenSamples(fake),
        train=ImageSet(train),
        validation=ImageSet(test),
        real=ImageSet(test),
        split="test",
        extractors=(Coordinates(test.shape[1:], "line"),),
        samples=500,
        seed=0,
        device=torch.device("cpu"),
    )
    *others, mifid = evaluate(data, [Memorisation()])
    assert mifid.name.startswith("mifid")
    assert reason in mifid.reason
    assert all(value.reason is None for value in others)


def test_what_makes_no_sense_on_points_says_so():
    class Mirror(GivenSamples):
        def reconstruct(self, pixels):
            return pixels + 0.1

    values = evaluate(evidence(Mirror(ring().test.images)), [Reconstruction(), Classes()])
    named = by_name(values)
    assert named["reconstruction_mse_test_1000"].value == pytest.approx(0.01)
    assert "the 1 x 2 of these" in named["reconstruction_ssim_test_1000"].reason
    [reason] = {value.reason for value in values if value.aspect in ("fidelity", "diversity")}
    assert "no classifier of them (coordinates2)" in reason


def test_floats_are_measured_by_their_coordinates_and_nothing_else():
    from gen_models.harness import extractors

    points = torch.rand(50, 1, 1, 3)
    assert default_extractor((1, 1, 3), "mine", points).name == "coordinates3"
    assert second_extractor((1, 1, 3), "mine", points) is None
    grey = torch.zeros(50, 1, 16, 16, dtype=torch.uint8)
    assert default_extractor((1, 16, 16), "digits", grey).name == "digits64"
    assert default_extractor((1, 9, 9), "mine").name == "random128"
    assert second_extractor((1, 16, 16), "mine", grey).name == "pca64"
    auto = {
        key: {"_target_": f"gen_models.evaluation.{key}_extractor"} for key in ("default", "second")
    }
    [only] = extractors(auto, ring())
    assert only.name == "coordinates2"
    with pytest.raises(UsageError, match="no extractor"):
        extractors({"second": auto["second"]}, ring())


def test_the_harness_hands_the_density_on():
    from gen_models.harness import Harness

    nothing = {"probe": None, "measurements": {}, "cache": False}
    features = {"first": {"_target_": "gen_models.evaluation.default_extractor"}}
    options = {"split": "test", "seed": 0, "samples": 100, "features": features, **nothing}
    harness, model = Harness(options, ring()), Complete()
    model.device = torch.device("cpu")
    about = harness.evidence(model, "test", 100, harness.extractors)
    assert about.density is ring().density
    assert harness.score_name == "fid_coordinates2_100_validation"


def test_coordinates_are_the_values():
    x = torch.randn(5, 3, 2, 2)
    extractor = Coordinates((3, 2, 2), "mine")
    assert torch.equal(extractor(x).features, x.flatten(1))
    assert (extractor.dimension, extractor.rounds, extractor.classes) == (12, False, False)
    assert extractor.identity != Coordinates((3, 2, 3), "mine").identity


def test_a_scatter_shows_points_and_says_how_many_it_does_not(tmp_path):
    points = ring().test.images[:500].clone()
    points[:7] = 9.0
    model = GivenSamples(points)
    scatter = sample_scatter(model, ring().test.images, torch.device("cpu"), 0, count=500)
    assert "7 of them outside the picture" in scatter.caption
    assert torch.equal(scatter.fake, points.flatten(1))
    assert scatter.window[:, 0].max() < 0.1
    with Image.open(scatter.save(tmp_path / "a.png")) as image:
        assert image.size == (480, 480)
        colours = {colour for _, colour in image.convert("RGB").getcolors(100_000)}
        assert (0, 0x72, 0xB2) in colours


def test_the_pictures_of_points_are_scatters_and_of_images_grids():
    real = ring().test.images
    picture = partial(sample_picture, device=torch.device("cpu"), seed=0)
    assert isinstance(picture(GivenSamples(ring().train.images.repeat(2, 1, 1, 1)), real), Scatter)
    assert isinstance(picture(Complete(), byte_evidence(None).real.images), Grid)
    [only] = gallery(evidence(GivenSamples(ring().train.images.repeat(2, 1, 1, 1))), None)
    assert isinstance(only, Scatter)
    assert gallery(evidence(GivenSamples(torch.full((2000, 1, 1, 2), torch.nan))), None) == []
    assert gallery(evidence(object()), None) == []
    assert not are_points(torch.zeros(4, 1, 1, 1))
    assert not are_points(torch.zeros(4, 1, 1, 2, dtype=torch.uint8))
    assert not are_points(torch.zeros(4, 1, 8, 8))


def test_other_extractors_see_floats_too():
    model = GivenSamples(ring().validation.images)
    about = evidence(model, samples=len(ring().validation))
    about.extractors = (RandomConvolutions((1, 1, 2), "ring"),)
    [value, *_] = evaluate(about, [KernelDistance()])
    assert value.reason is None
    assert about.density.log_prob(about.real.images).isfinite().all()
