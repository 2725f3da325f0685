import random
from itertools import pairwise, product

import pytest

from stitchable.errors import StitchError
from stitchable.reassembly import space as space_module
from stitchable.reassembly.options import ReassemblyConfig
from stitchable.reassembly.parts import ModelPart, Partition
from stitchable.reassembly.slots import is_transformer
from stitchable.reassembly.space import reassembly_space
from stitchable.space.prune import ListedSpace
from stitchable.stitch import Stitch

LATE = {"vit", "swin"}


def even_partition(outlines, count, labels=None):
    """Parts as even as can be by number of blocks; each in the set of its position, or of ``labels``."""
    cuts = {each.name: tuple(each.depth * k // count for k in range(count + 1)) for each in outlines}
    parts = [ModelPart(name, at[k], at[k + 1]) for name, at in cuts.items() for k in range(count)]
    labels = labels or [number % count for number in range(len(parts))]
    sets = dict(zip(parts, labels, strict=True))
    medoids = tuple(next(part for part in parts if sets[part] == number) for number in range(count))
    return Partition(cuts, sets, medoids, 0.0)


def listed(outlines, partition, order, positions):
    """Every choice of K parts that makes a network, from the definition."""
    depth = {each.name: each.depth for each in outlines}
    position = {part: number % partition.count for number, part in enumerate(partition.parts)}
    place = position if positions == "own" else partition.sets
    choices = [[part for part in partition.parts if place[part] == k] for k in range(partition.count)]
    for parts in product(*choices):
        if parts[0].start != 0 or parts[-1].stop != depth[parts[-1].anchor]:
            continue
        neighbours = list(pairwise(parts))
        if any(a.anchor == b.anchor and a.stop != b.start for a, b in neighbours):
            continue
        late = [part.anchor in LATE for part in parts]
        if order == "cnn_first" and late != sorted(late):
            continue
        text = ""
        for number, part in enumerate(parts):
            if number and parts[number - 1].anchor == part.anchor:
                text = text[: text.rindex(":")] + f":{part.stop}]"
            else:
                text += f"{'+' if number else ''}{part}"
        yield Stitch.parse(text)


@pytest.mark.parametrize("order", ["any", "cnn_first"])
@pytest.mark.parametrize("count", [2, 4])
def test_the_paths_at_own_positions_are_the_reassemblies(zoo, order, count):
    outlines = zoo({"a": 4, "vit": 8, "b": 7, "swin": 5}, kinds={"vit": "vit", "swin": "swin"})
    partition = even_partition(outlines, count)
    space = reassembly_space(outlines, partition, order=order)
    found = list(space)
    assert len(found) == len(set(found)) == space.count
    assert set(found) == set(listed(outlines, partition, order, "own"))
    if order == "any":
        assert space.count == 4**count
    assert space.most_joints == count - 1
    assert len(space.layers) == len(space.joints)  # none is shared


@pytest.mark.parametrize("seed", range(25))
def test_the_paths_through_sets_are_the_reassemblies(zoo, seed):
    draw = random.Random(seed)
    outlines = zoo({"a": 6, "vit": 8, "b": 5}, kinds={"vit": "vit"})
    labels = [0, 1, 2, *(min(max(k + draw.choice([-1, 0, 0, 1]), 0), 2) for k in [0, 1, 2] * 2)]
    partition = even_partition(outlines, 3, labels)
    order = ("any", "cnn_first")[seed % 2]
    expected = set(listed(outlines, partition, order, "sets"))
    anchors = {each.stitch for each in outlines}
    space = reassembly_space(outlines, partition, order=order, positions="sets")
    assert set(space) == expected | anchors
    assert space.count == len(expected | anchors)
    used = {joint for stitch in space for joint in space.path(stitch)}
    assert used == set(space.joints)  # no layer that no path takes


def test_a_list_is_made_only_where_joints_alone_allow_more(zoo):
    outlines = zoo({"a": 6, "b": 6})
    assert not isinstance(
        reassembly_space(outlines, even_partition(outlines, 3), positions="sets"), ListedSpace
    )
    # Two parts of b stand at place 1: from a to the first of them, on through the second and back to a at
    # place 2 would have four parts.
    crossed = even_partition(outlines, 3, [0, 1, 2, 0, 1, 1])
    space = reassembly_space(outlines, crossed, positions="sets")
    assert isinstance(space, ListedSpace)
    assert "a[0:2]+b[2:6]+a[4:6]" not in {str(stitch) for stitch in space}


def test_the_kinds_of_anchors(zoo):
    kinds = {"vit": "vit", "swin": "swin", "cnn": "cnn"}
    outlines = zoo(dict.fromkeys(kinds, 4), kinds=kinds)
    assert {each.name for each in outlines if is_transformer(each)} == LATE


def test_adapters_are_given_by_the_specs_alone(zoo):
    """The released code draws their stride at random."""
    import torch

    from stitchable.layers.stitching import StitchingLayer

    outlines = zoo({"a": 6, "vit": 8}, kinds={"vit": "vit"})
    partition = even_partition(outlines, 3)
    one, other = (reassembly_space(given, partition) for given in (outlines, outlines[::-1]))
    assert one.to_dict() == other.to_dict()
    for joint in one.joints:
        built = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            built.append(StitchingLayer(*one.features(joint)))
        built[1].load_state_dict(built[0].state_dict())
        front, end = one.features(joint)
        x = torch.randn(front.shape(2))
        with torch.no_grad():
            assert built[0](x).shape == end.shape(2)
            assert torch.equal(built[0](x), built[1](x))


def test_what_makes_no_space_is_refused(zoo, monkeypatch):
    outlines = zoo({"a": 6, "b": 8})
    partition = even_partition(outlines, 3)
    with pytest.raises(StitchError, match="of a with 6 blocks, b with 8 blocks; got a with 6 blocks"):
        reassembly_space(outlines[:1], partition)
    with pytest.raises(StitchError, match="Got 'cnns'"):
        reassembly_space(outlines, partition, order="cnns")
    with pytest.raises(StitchError, match=r"Unknown reassembly\.positions 'set'"):
        ReassemblyConfig(positions="set")
    alone = zoo({"a": 6})
    with pytest.raises(StitchError, match="Nothing new can be made of the parts of a "):
        reassembly_space(alone, even_partition(alone, 3))
    monkeypatch.setattr(space_module, "LARGEST_LIST", 3)
    crossed = even_partition(outlines, 3, [0, 1, 2, 0, 1, 1])
    count = len(list(listed(outlines, crossed, "cnn_first", "sets")))
    with pytest.raises(StitchError, match=f"{count} reassemblies cannot be listed"):
        reassembly_space(outlines, crossed, positions="sets")


def test_a_network_of_cnn_and_vit_parts_is_fitted_runs_and_is_extracted(tiny_resnet, tiny_vit, noise):
    import torch

    from stitchable.initialization.fit import fit_least_squares
    from stitchable.network import StitchedNetwork

    anchors = [
        tiny_resnet("cnn", (1, 1, 1, 1), 4, seed=4),
        tiny_vit("vit", 6, depth=4, side=32, patch_size=8, seed=6),
        tiny_resnet("deep", (2, 2, 2, 2), 4, seed=5),
    ]
    outlines = [anchor.outline for anchor in anchors]
    space = reassembly_space(outlines, even_partition(outlines, 4), order="any")
    grids = {(front.grid, end.grid) for front, end in map(space.features, space.joints)}
    assert ((8, 8), (4, 4)) in grids  # across stages
    kinds = {(front.kind, end.kind) for front, end in map(space.features, space.joints)}
    assert {("tokens", "map"), ("map", "tokens"), ("map", "map")} == kinds
    network = StitchedNetwork(anchors, space).eval()
    fits = fit_least_squares(network, [noise(64, side=32, seed=seed) for seed in range(2)])
    assert {fit.layer for fit in fits} == space.layers.keys()
    assert all(0 < fit.r2 <= 1 for fit in fits)
    images = noise(3, side=32, seed=9)
    stitches = list(space)[::3]
    assert {joint for stitch in stitches for joint in space.path(stitch)} == set(space.joints)
    for stitch in stitches:
        with torch.no_grad():
            logits = network(images, stitch)
            assert torch.equal(network.extract(stitch)(images), logits)
        assert logits.isfinite().all()
