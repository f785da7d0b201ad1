"""What a discriminator's outputs mean where images have classes."""

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.objectives import AuxiliaryClassifier, Projection

SAID, LABELS = torch.randn(5, 1 + 3), torch.tensor([0, 2, 1, 1, 0])


def cross_entropies(said):
    shares = said[:, 1:].exp() / said[:, 1:].exp().sum(1, keepdim=True)
    return torch.stack([-shares[i, y].log() for i, y in enumerate(LABELS)])


def test_a_projection_adds_the_output_of_the_class():
    expected = torch.stack([SAID[i, 0] + SAID[i, 1 + y] for i, y in enumerate(LABELS)])
    assert torch.equal(Projection().logits(SAID, LABELS), expected)
    assert Projection().discriminator(SAID, SAID, LABELS) == {}
    assert Projection().generator(SAID, LABELS) == {}


def test_a_classifier_reads_the_class_and_the_logit_apart():
    conditioning = AuxiliaryClassifier()
    assert torch.equal(conditioning.logits(SAID, LABELS), SAID[:, 0])
    (name, cost) = conditioning.generator(SAID, LABELS).popitem()
    assert name == "fake_class_nats"
    torch.testing.assert_close(cost, cross_entropies(SAID))


@pytest.mark.parametrize("fake", [False, True])
def test_generated_images_teach_the_classifier_only_where_asked(fake):
    other = torch.randn(5, 1 + 3)
    costs = AuxiliaryClassifier(fake=fake).discriminator(SAID, other, LABELS)
    torch.testing.assert_close(costs.pop("real_class_nats"), cross_entropies(SAID))
    assert bool(costs) == fake
    for cost in costs.values():
        torch.testing.assert_close(cost, cross_entropies(other))


def test_a_negative_weight_is_refused():
    with pytest.raises(UsageError, match=r"conditioning\.weight must be 0 or more"):
        AuxiliaryClassifier(weight=-1.0)
