"""Fits merge exactly, go to files, and refuse what is no fit."""

import numpy as np
import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.frechet import frechet_distance
from gen_models.evaluation.statistics.moments import Moments, as_rows, compressed

from .test_frechet import features


@pytest.mark.parametrize("size", [1, 7, 300])
def test_batches_and_processes_merge_to_the_fit_of_all_images(size):
    x = features(300).double() + 1000
    whole = Moments.of(x)
    processes = [x[:31], x[31:200], x[200:]]  # none a multiple of the batch
    merged = Moments.merge([Moments.of(p) for p in processes])
    triangle = as_rows(x[:0])
    for batch in x.split(size):
        triangle = compressed([triangle, as_rows(batch)])
    for fit in (merged, Moments.from_triangle(triangle)):
        assert fit.count == 300
        torch.testing.assert_close(fit.mean, x.mean(0), rtol=1e-14, atol=0)
        torch.testing.assert_close(fit.covariance, x.T.cov(), rtol=1e-9, atol=1e-9)
        assert frechet_distance(whole, fit) == pytest.approx(0, abs=1e-9)


def test_many_images_go_in_blocks():
    x = features(9000)
    torch.testing.assert_close(Moments.of(x).covariance, x.double().T.cov(), rtol=1e-11, atol=1e-11)


def test_no_image_has_no_fit_and_adds_nothing_to_one():
    x = features(300)
    triangle = compressed([compressed([as_rows(x[:0])]), as_rows(x)])
    assert Moments.from_triangle(triangle).count == 300
    torch.testing.assert_close(Moments.from_triangle(triangle).covariance, x.double().T.cov())
    with pytest.raises(UsageError, match="2 images or more, not 0"):
        Moments.of(x[:0])


def test_moments_go_to_a_file_and_come_back(tmp_path):
    x = Moments.of(features(300))
    x.save(tmp_path / "stats")
    with np.load(tmp_path / "stats") as file:
        assert file["mu"].shape == (16,)
        assert file["sigma"].shape == (16, 16)
    back = Moments.load(tmp_path / "stats")
    assert back.count == 300
    assert frechet_distance(x, back) == pytest.approx(0, abs=1e-9)
    np.savez(tmp_path / "theirs.npz", mu=x.mean.numpy(), sigma=x.covariance.numpy())
    theirs = Moments.load(tmp_path / "theirs.npz")
    assert theirs.count is None
    assert frechet_distance(x, theirs) == pytest.approx(0, abs=1e-9)
    with pytest.raises(UsageError, match="unknown number of images"):
        Moments.merge([x, theirs])


def test_files_that_hold_no_moments_are_named(tmp_path):
    path = tmp_path / "f.npz"
    np.save(tmp_path / "array.npy", np.zeros(3))
    for break_it in (
        lambda: None,
        lambda: path.write_bytes(b"nonsense"),
        lambda: path.write_bytes(b""),
        lambda: np.savez(path, mu=np.zeros(3)),
        lambda: np.savez(path, mu=np.array([print], dtype=object), sigma=np.eye(1)),
        lambda: path.write_bytes((tmp_path / "array.npy").read_bytes()),
    ):
        break_it()
        with pytest.raises(UsageError, match=r"f\.npz cannot be read") as error:
            Moments.load(path)
        assert "\n" not in str(error.value)


def test_bad_covariances_are_named():
    eye = torch.eye(3)
    for mean, covariance, message in (
        (torch.zeros(2), eye, r"shapes \(2,\) and \(3, 3\)"),
        (torch.zeros(3), eye * float("nan"), "not finite"),
        (torch.zeros(3), eye + torch.ones(3, 3).triu(1), "not symmetric"),
        (torch.zeros(3), torch.diag(torch.tensor([1.0, 1.0, -0.01])), "negative eigenvalue, -0.01"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            Moments.from_covariance(mean, covariance)
        assert "\n" not in str(error.value)
    rounded = Moments.from_covariance(torch.zeros(3), torch.diag(torch.tensor([1.0, 1.0, -1e-7])))
    torch.testing.assert_close(rounded.covariance, torch.diag(torch.tensor([1.0, 1.0, 0])).double())
