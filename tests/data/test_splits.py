import pytest
import torch

from gen_models.data.splits import SPLIT_STREAM, permutation, split


def test_a_permutation_depends_on_its_arguments_and_on_nothing_else():
    first = permutation(1000, seed=3, stream=5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(first, permutation(1000, seed=3, stream=5))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.sort().values, torch.arange(1000))
    for seed, stream in [(3, 6), (4, 5), (5, 3), (4, 4)]:
        assert not torch.equal(first, permutation(1000, seed, stream))


def test_permutations_are_those_of_every_other_machine():
    # Written down once; a change here changes every published split.
    assert permutation(8, 0, 0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert permutation(8, 1797, SPLIT_STREAM).tolist() == [4, 2, 3, 5, 0, 7, 6, 1]


@pytest.mark.parametrize("shares", [{"validation": 0.1}, {"test": 0.25, "validation": 0.5}])
def test_the_parts_are_disjoint_and_complete(shares):
    parts = split(103, 7, shares)
    assert list(parts) == [*shares, "train"]
    assert torch.equal(torch.cat(list(parts.values())).sort().values, torch.arange(103))


def test_the_first_training_images_are_a_random_choice():
    train = split(1000, 0, {"validation": 0.1})["train"]
    assert 350 < train[:100].float().mean() < 650
