import pytest

from stitchable.errors import StitchError
from stitchable.initialization.fit import cut_features
from stitchable.initialization.views import view_pair
from stitchable.layers.adapters import rows_on
from stitchable.prediction.joint_similarity import joint_similarity
from stitchable.similarity.cka import linear_cka


@pytest.mark.parametrize("kind", ["resnets", "vits"])
def test_it_is_the_cka_of_what_the_joints_connect(kind, stitched_resnets, stitched_vits, noise):
    """By position, as least squares sees it, where both grids are equal."""
    network, side = (stitched_resnets(), 32) if kind == "resnets" else (stitched_vits(), 8)
    images = noise(12, side=side)
    found = joint_similarity(network, images.split(5))
    assert found.keys() == {str(joint) for joint in network.space.joints}
    for joint in network.space.joints:
        views = view_pair(network.space, joint)
        assert {view.grid for view in views} == {feature.grid for feature in network.space.features(joint)}
        features = cut_features(network.anchors, {(view.anchor, view.cut) for view in views}, images)
        rows = [
            rows_on(
                features[view.anchor, view.cut],
                network.space.outlines[view.anchor].features[view.cut],
                grid=view.grid,
                prefix=view.prefix,
            ).detach()
            for view in views
        ]
        assert found[str(joint)] == pytest.approx(linear_cka(*rows), abs=1e-4)  # float32, in other batches


def test_no_images_are_refused(stitched_vits):
    with pytest.raises(StitchError, match=r"at least 4 images, .*got 0"):
        joint_similarity(stitched_vits(), [])
