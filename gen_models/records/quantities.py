"""What a name promises: the unit and the range of the numbers that this package measures."""

import math
import re
from dataclasses import dataclass

LARGEST = 1e100
"""No number of a record is larger: whatever is has overflowed, or soon will, where it is used."""


@dataclass(frozen=True)
class Quantity:
    """Numbers of one kind.

    Attributes:
        name: Pattern that their names begin with.
        unit: How their unit begins.
        least: Least number possible.
        most: Greatest number possible.
    """

    name: str
    unit: str
    least: float = -math.inf
    most: float = math.inf

    def misfit(self, unit: str, numbers: dict[str, float | None]) -> str | None:
        """What does not fit, in words: the unit, or a number outside the range."""
        given = {name: number for name, number in numbers.items() if number is not None}
        if given and not unit.startswith(self.unit):
            return f"unit {unit!r} is not {self.unit!r}, which the name promises"
        # A distance of a set from itself may round to below 0, by its place among the others.
        rounding = 1e-6 * max([1.0, *map(abs, given.values())])
        for name, number in given.items():
            if not self.least - rounding <= number <= self.most + rounding:
                return f"{name} {number:g} lies outside [{self.least:g}, {self.most:g}]"
        return None


SHARES = (
    r"precision_|recall_|coverage_|prd_|confident_|class_accuracy_|class_worst_|copies_|clamped_"
    r"|duplicates_|near_repeats_|authenticity_|told_|acceptance_|high_quality_"
)

QUANTITIES = (
    Quantity(r"fid_as_", "deviation", 0),
    Quantity(r"fid_relative_", "share of tr C", 0),
    Quantity(r"fid_unbiased_", "squared feature units"),
    Quantity(r"fid_|class_fid_|mifid_", "squared feature units", 0),
    Quantity(r"kid_", "squared kernel units"),
    Quantity(r"path_length_", "squared feature units per squared step", 0),
    Quantity(SHARES, "share", 0, 1),
    Quantity(r"density_", "1 for equal distributions", 0),
    Quantity(r"class_coverage_", "classes", 0),
    Quantity(r"classifier_score_", "1 to the number of classes", 1),
    Quantity(r"copying_", "deviations"),
    Quantity(r"nearest_ratio_", "of held-out images' own", 0),
    Quantity(r"(inversion|probe|reconstruction)_mse_", "squared pixels", 0),
    Quantity(r"(inversion|probe|reconstruction)_psnr_", "dB"),
    Quantity(r"(inversion|probe|reconstruction)_ssim_", "structural similarity", -1, 1),
    Quantity(r"inversion_latent_square_", "|z|² per latent", 0),
    Quantity(r"active_units_", "latents", 0),
    Quantity(r"effective_draws_", "draws", 0),
    Quantity(r"effective_chains_", "chains", 0),
    Quantity(r"modes_covered_", "modes", 0),
    Quantity(r"modes_", "of ", 0),
    Quantity(r"mode_deviation_", "true deviations", 0),
    Quantity(r"probe_deviation_|observation_noise_", "pixels in [0, 1], standard deviation", 0),
    Quantity(r"critic_distance_", "pixels, L2"),
    Quantity(r"feature_kl_|\w+_nats_", "nats"),
)
"""In this order: the first that fits a name counts. A name that none fits is somebody's own."""


def quantity_of(name: str) -> Quantity | None:
    """What the name of a value promises; None for one that is not of this package.

    >>> quantity_of("precision_k3_digits64_1293_test").most
    1
    """
    return next((each for each in QUANTITIES if re.match(each.name, name)), None)
