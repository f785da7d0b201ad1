"""The conditional VAE: a VAE of the images of each class, in one network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import one_hot

from gen_models.capabilities import BoundsLikelihood, ElboTerms, Observes, Reconstructs
from gen_models.data.ranges import Scaler
from gen_models.distributions import DiagonalGaussian, Gaussian, StandardNormal
from gen_models.errors import UsageError
from gen_models.models.labelled import ClassConditional, with_classes
from gen_models.models.latent import NetworkFactory, Shape, made_objective, made_schedule
from gen_models.models.phase import OptimizerFactory, Phase, check_clip
from gen_models.modes import evaluating
from gen_models.objectives.elbo import Bound, Draws, NegativeELBO, draw, summary
from gen_models.objectives.schedules import Schedule
from gen_models.recipes import build


class ConditionalVAE(ClassConditional, Reconstructs, BoundsLikelihood, Observes):
    r"""Maximises $E_q \log p(x|z,y) - KL(q(z|x,y) \,\|\, p(z))$ over images with labels y.

    Sohn et al. (2015), equation 4, with p(z|y) = p(z). The generator's latents are z and one-hot
    y in one vector, and the prior draws y by its share of the training images: the model is one of
    images too, $p(x) = \sum_y p(y) \int p(z)\,p(x|z,y)\,dz$. The encoder sees one-hot y as planes
    beside the image's channels.

    Without labels, `elbo_terms` bounds log p(x) with $q(y|x) \propto p(y) \exp ELBO_y$, the best
    choice there is: log-likelihood $\sum_y q(y|x)\,E_q \log p(x|z,y)$, rate $\sum_y q(y|x)\,KL_y +
    KL(q(y|x) \,\|\, p(y))$. The draws that choose q(y|x) are not those that are judged: the classes
    would be chosen for the luck of their draws. It takes two passes for each class. There is no
    `infer`: q(z, y | x) is a mixture that hangs on those passes.

    Args:
        shape: (C, H, W) of the images.
        latent_dim: D; the generator sees D plus the number of classes.
        generator: Factory of the generator, called with `latent_dim`, `shape` and, where it has
            such an argument, `num_classes`.
        trunk: Factory of the encoder's trunk, called with `shape` and `features`.
        optimizer: Makes the optimiser of all parameters.
        num_classes: How many classes the data have.
        posterior: Factory of the head of q(z | x, y), called with `latent_dim`.
        likelihood: Factory of p(x | z, y), called with nothing.
        prior: Factory of p(z), called with `latent_dim`.
        objective: Maps draws from the posterior to the loss (B,); the negative ELBO by default.
        scaler: Maps pixels in [0, 1] to what the encoder sees; identity by default.
        clip: Largest norm of the gradient; None: no limit.
        ema_half_life: Images in which the generator's average forgets half of its past; None: no
            average.
        lr_schedule: Maps images seen to a factor of the learning rate; None: 1.
        training_images: How many there are, for objectives that hang on it.

    Raises:
        UsageError: If the data have no labels; if the prior is made of an encoder of images alone;
            if `clip` is not above 0, or the schedule begins or ends below it.
    """

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        generator: NetworkFactory,
        trunk: NetworkFactory,
        optimizer: OptimizerFactory,
        num_classes: int | None = None,
        posterior: NetworkFactory = DiagonalGaussian,
        likelihood: NetworkFactory = Gaussian,
        prior: NetworkFactory = StandardNormal,
        objective: Bound | None = None,
        scaler: Scaler | None = None,
        clip: float | None = None,
        ema_half_life: float | None = None,
        lr_schedule: Schedule | None = None,
        training_images: int | None = None,
    ) -> None:
        arguments = locals()
        if num_classes is None:
            raise UsageError("a conditional VAE needs labels, and the data have none: model=vae")
        super().__init__(
            shape=shape,
            scaler=scaler,
            ema_half_life=ema_half_life,
            **with_classes(
                classes=num_classes, latent_dim=latent_dim, generator=generator, prior=prior
            ),
        )
        self.remember(arguments)
        self.num_classes = num_classes
        head = build(posterior, "model.posterior")(latent_dim=latent_dim)
        if hasattr(head, "bind"):
            head.bind(self.prior.latents)
        channels, *size = self.shape
        planes = (channels + num_classes, *size)
        made = build(trunk, "model.trunk")(shape=planes, features=head.features)
        self.encoder = nn.Sequential(made, head)
        self.likelihood = build(likelihood, "model.likelihood")()
        self.likelihood.bind(self.shape)
        self.objective: Bound = made_objective(objective, NegativeELBO(), "draws")
        if hasattr(self.objective, "bind"):
            self.objective.bind(self.prior.latents)
        self.optimizer = build(optimizer, "model.optimizer")
        self.lr_schedule = made_schedule(lr_schedule)
        check_clip(clip)
        self.clip = clip
        self.training_images = training_images

    def phases(self) -> list[Phase]:
        """One player that moves everything, shown images with labels."""
        moved = [p for p in self.parameters() if p.requires_grad]
        return [Phase("vae", self.loss, moved, self.optimizer, clip=self.clip, labelled=True)]

    def posterior(self, x: Tensor, classes: Tensor) -> Distribution:
        """q(z | x, y) of scaled images (B, C, H, W) and one-hot y (B, classes)."""
        planes = classes[..., None, None].expand(-1, -1, *x.shape[2:])
        return self.encoder(torch.cat([x, planes], dim=1))

    def draws(self, x: Tensor, labels: Tensor, count: int = 1) -> Draws:
        """`count` draws of z for each scaled image (B, C, H, W), given its label (B,)."""
        classes = one_hot(labels, self.num_classes).to(x)

        def likelihood(z: Tensor) -> Distribution:
            return self.observe(torch.cat([z, classes.repeat(count, 1)], dim=1))

        pixels, posterior = self.scaler.inverse(x), self.posterior(x, classes)
        population = self.training_images
        return draw(pixels, posterior, self.prior.latents(), likelihood, count, population)

    def loss(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The objective's mean, and the bound's terms on log p(x | y) apart, in nats per image.

        Args:
            x: (B, C, H, W), scaled images.
            labels: (B,), int64.
        """
        draws = self.draws(x, labels, self.objective.draws)
        return summary(self.objective, draws, self.images_seen)

    def check(self, x: Tensor) -> None:
        """Refuse images outside the likelihood's support."""
        self.likelihood.check(self.scaler.inverse(x))

    def pixels(self, activation: Tensor) -> Tensor:
        """E[x | z, y], pixels (B, C, H, W), by the likelihood."""
        return self.likelihood.mean(activation)

    def _terms(self, pixels: Tensor) -> tuple[ElboTerms, Tensor]:
        """Terms given each class, (classes, B) each, and log p(y) + ELBO_y, (classes, B)."""
        x = self.scaler(pixels)
        labels = torch.arange(self.num_classes, device=x.device)
        terms = [self.draws(x, label.expand(len(x))).terms for label in labels]
        log_likelihood, rate = (torch.stack(column) for column in zip(*terms, strict=True))
        joint = self.prior.shares.log()[:, None] + log_likelihood - rate
        return ElboTerms(log_likelihood, rate), joint

    @torch.no_grad()
    def elbo_terms(self, pixels: Tensor) -> ElboTerms:
        """Terms of the bound on log p(x), no label given, (B,) each, nats.

        One draw a class gives the terms, another q(y|x). The mean is below log p(x) whatever the
        second is; one draw for both would give log sum_y p(y) exp ELBO_y, which may be above.
        """
        with evaluating(self):
            terms, _ = self._terms(pixels)
            _, joint = self._terms(pixels)
        chosen = joint.softmax(0)
        shares = self.prior.shares[:, None].expand_as(chosen)
        told = torch.special.xlogy(chosen, chosen) - torch.special.xlogy(chosen, shares)
        return ElboTerms(
            (chosen * terms.log_likelihood).sum(0), (chosen * terms.rate + told).sum(0)
        )

    @torch.no_grad()
    def reconstruct(self, pixels: Tensor) -> Tensor:
        """E[x | z, y] at the most probable class and its posterior's mean, pixels (B, C, H, W)."""
        with evaluating(self):
            _, joint = self._terms(pixels)
            classes = one_hot(joint.argmax(0), self.num_classes).to(pixels)
            mean = self.posterior(self.scaler(pixels), classes).mean
            return self.decode(torch.cat([mean, classes], dim=1))

    def observe(self, z: Tensor) -> Distribution:
        """p(x | z, y) of latents (B, D + classes), over pixels; differentiable in z."""
        return self.likelihood(self.activation(z))
