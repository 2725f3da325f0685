"""What ``stitchable profile`` prints of one condition."""

from __future__ import annotations

from collections.abc import Sequence

from stitchable.cli.display import console, macs, table
from stitchable.evaluation.curve import CurveRow
from stitchable.evaluation.device_cost import DeviceCosts
from stitchable.evaluation.disagreement import Flip, flips, latency_front, overtaken, rank_correlation
from stitchable.units import condition_title as title
