"""What ``stitchable similarity`` is asked. Plain data; no torch here, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from stitchable.errors import StitchError, check_choices, nearest
from stitchable.similarity.pair import Measure
from stitchable.similarity.rows import MEASURES, Rows, check_measures

Tested = Literal["auto", "joints", "all", "none"]


@dataclass(frozen=True)
class SimilarityOptions:
    """What is measured, and how far it is tested.

    Attributes:
        images: Held-out images that the similarities are measured on, at most.
        rows: What counts as one observation. ``"pixels"``: a position, on the smaller of the two grids, as
            stitching layers see them. ``"pooled"``: an image, its feature averaged over the positions.
            ``"flattened"``: an image, all its positions side by side.
        measures: Which ones, separated by commas: ``cka``, ``cka_biased``, ``cka_minibatch``, ``rbf_cka``,
            ``cca``, ``svcca``, ``pwcca``, ``procrustes``, ``r2``. The first one chooses the joints. ``None``
            takes ``r2,cka``, or ``cka_minibatch`` for flattened rows.
        groups: Groups of images that are left out in turn for the 95 % intervals; 0 gives none.
        batch_size: Images per forward pass, and in a mini-batch of ``cka_minibatch``.
        within: Compare every anchor with itself too.
        test: Which joints are fitted by least squares and measured as stitches, the stitching test.
            ``"joints"``: the chosen ones and as many others, drawn with the seed. ``"all"``: every pair of
            cuts. ``"auto"``: ``"joints"`` where training images are named and the anchors tell the same
            classes apart, else ``"none"``.
        fit_images: Training images that the test fits its layers to.
        test_images: Held-out images that it measures accuracy on.
    """

    images: int = 2000
    rows: Rows = "pixels"
    measures: str | None = None
    groups: int = 10
    batch_size: int = 50
    within: bool = False
    test: Tested = "auto"
    fit_images: int = 1000
    test_images: int = 1000

    def __post_init__(self) -> None:
        check_choices(self, "similarity")
        for name, least in (("images", 4), ("batch_size", 1), ("fit_images", 2), ("test_images", 1)):
            if getattr(self, name) < least:
                raise StitchError(f"--{name} must be at least {least}; got {getattr(self, name)}.")
        if self.groups < 0 or self.groups == 1:
            raise StitchError(f"--groups is 0, for no intervals, or 2 and more; got {self.groups}.")
        if not self.measure_list:
            raise StitchError(f"--measures names none. Allowed: {', '.join(MEASURES[self.rows])}.")

    @property
    def measure_list(self) -> tuple[Measure, ...]:
        """The measures, each once.

        Raises:
            StitchError: One is unknown, or cannot be had from these rows.

        Example:
            >>> SimilarityOptions(measures="cka, r2,cka").measure_list
            ('cka', 'r2')
        """
        usual = "cka_minibatch" if self.rows == "flattened" else "r2,cka"
        given = usual if self.measures is None else self.measures
        words = dict.fromkeys(word.strip() for word in given.split(",") if word.strip())
        for word in words:
            if word not in get_args(Measure):
                raise StitchError(
                    f"Unknown measure {word!r} in --measures. {nearest(word, get_args(Measure))}"
                )
        measures = tuple(cast("Measure", word) for word in words)
        check_measures(measures, self.rows)
        return measures
