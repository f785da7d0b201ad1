"""The codebook, and the prior over its tokens."""

from functools import partial
from itertools import product

import pytest
import torch
from sklearn.cluster import KMeans
from torch.utils._python_dispatch import TorchDispatchMode

from gen_models.distributions import TokenPrior
from gen_models.distributions.tokens import Codebook
from gen_models.errors import UsageError
from gen_models.networks import CausalGRU

CODES, POSITIONS, DIM = 3, 4, 2


def prior(scale=3.0):
    """With logits far from equal ones."""
    torch.manual_seed(0)
    network = partial(CausalGRU, width=8)
    made = TokenPrior(POSITIONS * DIM, network, codes=CODES, token_dim=DIM)
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.add_(scale / 3 * torch.randn_like(parameter))
    return made


def sequences():
    return torch.tensor(list(product(range(CODES), repeat=POSITIONS)))


def test_a_token_does_not_see_itself_or_what_comes_after():
    network, tokens = prior().network, torch.randint(CODES, (5, POSITIONS))
    for position in range(POSITIONS):
        changed = tokens.clone()
        changed[:, position] = (changed[:, position] + 1) % CODES
        moved = (network(changed) - network(tokens)).abs().amax((0, 2)) > 0
        assert moved.tolist() == [later > position for later in range(POSITIONS)]


def test_a_token_is_told_its_place():
    network = CausalGRU(CODES, POSITIONS, width=8)
    known = network(torch.zeros(1, POSITIONS, dtype=torch.int64))
    with torch.no_grad():
        network.places[2] += 1
    moved = (network(torch.zeros(1, POSITIONS, dtype=torch.int64)) - known).abs().amax((0, 2)) > 0
    assert moved.tolist() == [False, False, True, True]


def test_the_probabilities_of_all_sequences_sum_to_one():
    log_prob = prior()().tokens_log_prob(sequences())
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-6)
    assert log_prob.max() - log_prob.min() > 3


class Operations(TorchDispatchMode):
    """Keeps the names of all that is computed."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_the_probability_is_that_of_each_token_by_operations_that_a_gpu_has_deterministic_ones_of():
    made, tokens = prior(), torch.randint(CODES, (5, POSITIONS))
    shares = made.network(tokens).softmax(-1)
    known = [
        sum(shares[i, j, token].log() for j, token in enumerate(row))
        for i, row in enumerate(tokens)
    ]
    with Operations() as operations:
        value = made().tokens_log_prob(tokens)
    torch.testing.assert_close(value, torch.stack(known))
    assert "gather" in operations.names
    assert "nll_loss2d_forward" not in operations.names


def test_draws_are_as_frequent_as_they_are_probable():
    made, count = prior(), 20_000
    z = made.sample(count, torch.Generator().manual_seed(0))
    assert torch.equal(z, made.sample(count, torch.Generator().manual_seed(0)))
    tokens = made.codebook(made.split(z)).tokens
    place = (tokens * CODES ** torch.arange(POSITIONS - 1, -1, -1)).sum(1)
    observed = place.bincount(minlength=CODES**POSITIONS) / count
    expected = made().tokens_log_prob(sequences()).exp()
    error = (expected * (1 - expected) / count).sqrt() + 1e-4
    assert ((observed - expected).abs() < 5 * error).all()
    torch.testing.assert_close(made().log_prob(z), made().tokens_log_prob(tokens))


def test_draws_lie_on_the_codebook_and_nothing_else_does():
    made = prior()
    z = made().sample((2, 3))
    assert z.shape == (2, 3, POSITIONS * DIM)
    support = made().support
    assert support.is_discrete
    assert support.check(z).all()
    assert not support.check(z + 1e-3).any()


def test_without_memory_the_codebook_is_k_means():
    torch.manual_seed(1)
    z = torch.randn(200, 3, DIM)
    book = Codebook(5, DIM, decay=0.0, least=0.0)
    start = book.vectors.clone()
    tokens = book(z).tokens
    book.follow(z, tokens)
    for code in range(5):
        torch.testing.assert_close(book.vectors[code], z[tokens == code].mean(0))
    for _ in range(200):
        book.follow(z, book(z).tokens)
    reference = KMeans(5, init=start.numpy(), n_init=1, max_iter=500, tol=0).fit(z.flatten(0, 1))
    centres = torch.from_numpy(reference.cluster_centers_).float()
    torch.testing.assert_close(book.vectors, centres, rtol=0, atol=1e-5)


def test_with_memory_it_is_the_ratio_of_moving_averages():
    book = Codebook(2, 1, decay=0.9, least=0.0)
    book.vectors.copy_(torch.tensor([[0.0], [10.0]]))
    book.sums.copy_(book.vectors)
    z = torch.tensor([[[1.0], [2.0], [9.0]]])
    book.follow(z, book(z).tokens)
    counts = 0.9 + 0.1 * torch.tensor([2.0, 1.0])
    sums = 0.9 * torch.tensor([0.0, 10.0]) + 0.1 * torch.tensor([3.0, 9.0])
    torch.testing.assert_close(book.vectors[:, 0], sums / counts)


def test_a_vector_that_nothing_is_near_to_starts_anew_at_a_latent():
    book = Codebook(2, 1, decay=0.5, least=0.3)
    book.vectors.copy_(torch.tensor([[0.0], [1000.0]]))
    book.sums.copy_(book.vectors)
    z = torch.tensor([[[1.0], [2.0]]])
    for _ in range(2):  # its count falls to 0.5, then to 0.25
        assert book.vectors[1].item() == pytest.approx(1000)
        book.follow(z, book(z).tokens)
    assert book.vectors[1].item() in (1.0, 2.0)


def test_the_nearest_vector_is_nearest():
    book, z = Codebook(7, DIM), torch.randn(20, 3, DIM)
    vectors, tokens = book(z)
    distances = (z[:, :, None] - book.vectors).square().sum(-1)
    assert torch.equal(tokens, distances.argmin(-1))
    assert torch.equal(vectors, book.vectors[tokens])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 7}, "latent_dim=7 must be a multiple"),
        ({"codes": 0}, "codes=0"),
        ({"decay": 1.0}, "decay=1.0"),
    ],
)
def test_impossible_numbers_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TokenPrior(**{"latent_dim": 8, "network": CausalGRU, "token_dim": 2, **options})
