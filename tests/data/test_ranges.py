import hydra.utils
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gen_models.data.ranges import Scaler, quantise, stored_as, to_bytes, to_pixels
from gen_models.errors import UsageError

EVERY_BYTE = torch.arange(256).to(torch.uint8).reshape(1, 1, 16, 16)


def test_bytes_are_the_nearest_ones_and_clamped():
    pixels = torch.tensor([0.999, -0.01, 1.5, 0.4 / 255, 0.6 / 255, 254.4 / 255])
    assert to_bytes(pixels).tolist() == [255, 0, 255, 0, 1, 254]


def test_every_byte_survives_the_way_to_pixels_and_back():
    assert torch.equal(to_bytes(to_pixels(EVERY_BYTE)), EVERY_BYTE)
    assert to_pixels(EVERY_BYTE).dtype == torch.float32
    assert to_pixels(EVERY_BYTE).max() == 1


def test_half_precision_is_widened_before_it_is_rounded():
    pixels = torch.linspace(0, 1, 301).to(torch.bfloat16)
    assert torch.equal(to_bytes(pixels), to_bytes(pixels.to(torch.float32)))


def test_quantise_moves_a_pixel_by_half_a_step_at_most():
    pixels = torch.linspace(0, 1, 1001)
    assert (quantise(pixels) - pixels).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(quantise(quantise(pixels)), quantise(pixels))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_pixels_are_made_of_bytes_and_float32_alone(dtype):
    with pytest.raises(AssertionError, match="bytes or float32 expected"):
        to_pixels(torch.zeros(2, dtype=dtype))


def test_floats_are_pixels_already():
    points = torch.tensor([-0.3, 0.123456789, 1.7])
    assert to_pixels(points) is points
    assert torch.equal(stored_as(points, torch.float32), points)
    assert stored_as(points, torch.uint8).tolist() == [0, 31, 255]


def test_named_scalers_have_the_named_ranges():
    pixels = to_pixels(EVERY_BYTE)
    assert torch.equal(Scaler.unit(1)(pixels), pixels)
    symmetric = Scaler.symmetric(1)(pixels)
    assert (symmetric.min(), symmetric.max()) == (-1, 1)


@given(
    mean=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    deviation=st.lists(st.floats(0.01, 4), min_size=3, max_size=3),
)
def test_the_inverse_and_the_recipe_are_exact_for_any_numbers(mean, deviation):
    scaler = Scaler(mean, deviation)
    pixels = to_pixels(EVERY_BYTE).expand(2, 3, 16, 16)
    back = scaler.inverse(scaler(pixels))
    assert (back - pixels).abs().max() < 1e-6
    assert torch.equal(to_bytes(back), to_bytes(pixels))
    rebuilt = hydra.utils.instantiate(scaler.recipe())
    assert torch.equal(rebuilt.mean, scaler.mean)
    assert torch.equal(rebuilt.deviation, scaler.deviation)


def test_channels_keep_their_own_numbers():
    x = Scaler([0.0, 0.5, 1.0], [1.0, 2.0, 4.0])(torch.ones(2, 3, 2, 2))
    assert x[0, :, 0, 0].tolist() == [1.0, 0.25, 0.0]


def test_standard_scaling_gives_mean_zero_and_variance_one_per_channel():
    images = torch.randint(0, 256, (50, 3, 6, 6)).to(torch.uint8)
    images[:, 1] //= 5
    images[:, 2] = 100
    scaler = Scaler.standard(images)
    x = scaler(to_pixels(images)).double()
    assert x.mean((0, 2, 3)).abs().max() < 1e-6
    variance = x.var((0, 2, 3), unbiased=False)
    assert (variance[:2] - 1).abs().max() < 1e-5
    assert variance[2] == 0
    assert scaler.deviation[2].item() == 1


def test_standard_scaling_of_floats_is_that_of_the_bytes_they_were():
    images = torch.randint(0, 256, (50, 3, 6, 6)).to(torch.uint8)
    images[:, 2] = 100
    bytes_, floats = Scaler.standard(images), Scaler.standard(to_pixels(images))
    torch.testing.assert_close(floats.mean, bytes_.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(floats.deviation, bytes_.deviation, rtol=1e-6, atol=0)
    assert floats.deviation[2].item() == 1


def test_moments_of_floats_are_taken_in_float64():
    # In float32 the squares of a mean of 1000 leave nothing of a deviation of a thousandth.
    points = (1000 + 0.001 * torch.randn(4096, 1, 1, 2)).float()
    scaler = Scaler.standard(points)
    assert scaler.deviation.item() == pytest.approx(points.double().numpy().std(), rel=1e-6)


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [
        ([0.5], [0.0]),
        ([0.5], [-1.0]),
        ([0.5], [float("inf")]),
        ([float("nan")], [1.0]),
        ([0.5], [1.0, 1.0]),
        ([], []),
    ],
)
def test_impossible_scalers_are_refused(mean, deviation):
    with pytest.raises(UsageError, match=r"^scaler: [^\n]+$"):
        Scaler(mean, deviation)
