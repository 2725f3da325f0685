"""The configuration of a run. Plain data; no torch here, so that ``--help`` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stitchable.errors import StitchError, check_choices
from stitchable.space.build import SpaceOptions
from stitchable.space.prune import PruneRule
from stitchable.tracking.options import TrackOptions
from stitchable.training.options import TrainOptions
from stitchable.units import parse_bytes


@dataclass(frozen=True)
class DataConfig:
    """Where the images are.

    Attributes:
        train: Training images: a folder of CLASS/image files, a ``.parquet`` file or a folder of them,
            webdataset shards such as ``shards/train-{0000..0009}.tar`` or a folder of them,
            ``hf:NAME[:CONFIG][@SPLIT]`` of the Hugging Face hub, or ``digits:train``.
        val: Held-out images, likewise.
        workers: Processes that read images, or decode them where they are a stream; 0 does it in the main
            process.
        memory: Decode all images once and hold them; for small images of one size.
        corrupt_limit: How many images that do not read are skipped and named, in each of the two; more stop
            the command, 0 the first. In training the next image takes the place of one that is skipped.
        streaming: Read parquet files or a data set of the hub one image after the other, without copying or
            downloading them; tar shards always are read so. A stream is shuffled by its shards and within
            2,048 images.
        train_images: Images of an epoch of a stream; ``null`` takes all, where their number is known.
        val_images: Held-out images of a stream, likewise.
        cache: Folder for an Arrow copy of parquet files, which are held in memory otherwise, or of a data
            set of the hub.
    """

    train: str | None = None
    val: str | None = None
    workers: int = 0
    memory: bool = False
    corrupt_limit: int = 10
    streaming: bool = False
    train_images: int | None = None
    val_images: int | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("workers", 0), ("corrupt_limit", 0), ("train_images", 1), ("val_images", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise StitchError(f"data.{name} must be at least {least}; got {value}.")


@dataclass(frozen=True)
class InputConfig:
    """What images a fine-tuned anchor shall take; anchors that are stitched must agree.

    Attributes:
        size: Rows and columns, in pixels; ``None`` means the model's own, as for all of these.
        mean: Subtracted from pixel values in [0, 1]; one number, or one per channel.
        std: Divides the difference; likewise.
        crop_pct: Share of the resized image that the centre crop keeps along each side in evaluation.
    """

    size: int | None = None
    mean: float | list[float] | None = None
    std: float | list[float] | None = None
    crop_pct: float | None = None


@dataclass(frozen=True)
class FitConfig:
    """How stitching layers are initialised.

    Attributes:
        initialization: ``"least_squares"``, or ``"kaiming"`` for random weights.
        images: Training images that least squares sees, drawn with the run's seed. ``"auto"`` doubles them
            until images that are held out say that more do not help.
        images_limit: At most so many, held-out ones among them, where ``images`` is ``"auto"``.
        batch_size: Images per forward pass.
        ridge: Strength of the ridge penalty, relative to the mean eigenvalue of the scatter matrix.
            ``"auto"`` takes for each layer what is best on held-out images, a fifth of ``images`` and 500 at
            most.
        match_variance: Scale the fitted maps so that every channel varies as much as its targets do, which
            is worth several points before training; ``false`` gives the papers' plain solution.
        correct: ``"classifier"`` gives every joint a classifier of its own, which makes of the features
            behind it what comes nearest to the logits of its end anchor, on the same images; by least
            squares, with a ridge towards the end anchor's own classifier.
    """

    initialization: Literal["least_squares", "kaiming"] = "least_squares"
    images: int | Literal["auto"] = 1000
    images_limit: int = 10_000
    batch_size: int = 50
    ridge: float | Literal["auto"] = 0.0
    match_variance: bool = True
    correct: Literal["none", "classifier"] = "none"

    def __post_init__(self) -> None:
        check_choices(self, "fit")
        for name, least in (("images", 1), ("images_limit", 1), ("batch_size", 1), ("ridge", 0)):
            value = getattr(self, name)
            word = " or 'auto'" if name in ("images", "ridge") else ""
            if value != "auto" if isinstance(value, str) else not value >= least:
                raise StitchError(f"Got fit.{name} {value}; it must be at least {least}{word}.")

        if self.correct != "none" and self.initialization != "least_squares":
            raise StitchError("fit.correct is for layers that are fitted: fit.initialization least_squares.")

    @property
    def chooses(self) -> bool:
        """Whether the ridge or the number of images is chosen on held-out images."""
        return "auto" in (self.images, self.ridge)


@dataclass(frozen=True)
class SweepConfig:
    """How the curve is measured.

    Attributes:
        images: Held-out images to use; ``None`` means all.
        batch_size: Images per forward pass.
        stitches: Which stitches to measure: how many, drawn from the space with the anchors; or besides the
            anchors those with these ids, a list, separated by commas, or one per line of a text file;
            ``None`` means all.
        target: ``"front"`` shows no more images to a stitch as soon as it is off the front with
            ``confidence``; its row says how many it saw.
        confidence: Probability, at least, with which a stitch that belongs on the front is not stopped.
        calibration_images: Training images on which the BatchNorm statistics behind a joint are adjusted
            to each path; 0 keeps the anchors' own. ``None`` takes 1,000, and none for a network that was
            trained with frozen statistics: its weights have got used to these. Families without BatchNorm
            never read them.
        autocast: ``"bfloat16"`` measures what a device that computes so would give, in about half the time on
            CPUs with AVX-512 BF16. The calibration stays in float32.
        together: Images that may wait to run a block together, of all the stitches that come to it; 0 runs
            each path by itself.
        memory: Bound on the features that are held at once, such as ``2GB``; batches get as small as that
            asks for. Weights and what torch takes besides do not count.
    """

    images: int | None = None
    batch_size: int = 250
    stitches: int | list[str] | str | None = None
    target: Literal["all", "front"] = "all"
    confidence: float = 0.95
    calibration_images: int | None = None
    autocast: Literal["none", "bfloat16"] = "none"
    together: int = 0
    memory: str | None = None

    def __post_init__(self) -> None:
        check_choices(self, "sweep")
        if self.calibration_images is not None and (
            self.calibration_images < 0 or self.calibration_images == 1
        ):
            raise StitchError(
                f"sweep.calibration_images must be 0 or at least 2; got {self.calibration_images}."
            )
        for name in ("images", "batch_size", "stitches"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise StitchError(f"sweep.{name} must be at least 1; got {value}.")
        if not 0 < self.confidence < 1:
            raise StitchError(f"sweep.confidence is a share between 0 and 1; got {self.confidence}.")
        if self.together < 0:
            raise StitchError(f"sweep.together must be 0 or more; got {self.together}.")
        if self.memory is not None:
            parse_bytes(self.memory)


@dataclass(frozen=True)
class RunConfig:
    """Everything a run needs.

    Attributes:
        anchors: Two or more of ``[name=]source[?arguments][@weights]``; on the command line separated by
            commas. A source is a timm name, a saved anchor's folder, or ``path/to/file.py:function``.
            Arguments are timm's, such as ``drop_path_rate=0.1``. Weights are a ``.safetensors`` file,
            ``pretrained`` (timm's own; may use the network) or ``random``.
        inputs: Name of the anchor whose image size and normalisation all are to take; the others convert.
            ``None`` refuses anchors that differ.
        space: Which stitches to allow.
        prune: Rules that drop stitches: ``deeper``, ``dearer``, ``equal``.
        data: Where the images are.
        fit: How stitching layers are initialised.
        train: How the joint network is trained.
        track: Where else that is told.
        sweep: How the curve is measured.
        seed: Of everything random.
        device: ``"auto"`` takes CUDA, then MPS, then the CPU.
    """

    anchors: str | list[str] = field(default_factory=list)
    inputs: str | None = None
    space: SpaceOptions = field(default_factory=SpaceOptions)
    prune: list[PruneRule] = field(default_factory=list)
    data: DataConfig = field(default_factory=DataConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    train: TrainOptions = field(default_factory=TrainOptions)
    track: TrackOptions = field(default_factory=TrackOptions)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    seed: int = 0
    device: str = "auto"

    @property
    def anchor_texts(self) -> list[str]:
        """The anchors, one text each."""
        return split_anchors(self.anchors)


def split_anchors(anchors: str | list[str]) -> list[str]:
    """Take a comma-separated list apart; a list is one already.

    Example:
        >>> split_anchors("resnet18, big=resnet50")
        ['resnet18', 'big=resnet50']
    """
    texts = anchors.split(",") if isinstance(anchors, str) else anchors
    return [text.strip() for text in texts if text.strip()]
