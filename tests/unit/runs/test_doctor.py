import json

import pytest
import yaml

from stitchable.anchors.load import load_anchor
from stitchable.cli.arguments import add_run_config, command_parser, parse
from stitchable.cli.main import main
from stitchable.network import StitchedNetwork
from stitchable.runs.doctor import inspect_models


def test_two_models_that_go_together(digit_models):
    report = inspect_models(digit_models)
    network = StitchedNetwork([load_anchor(text) for text in digit_models])
    assert report["space"] == {
        "stitches": network.space.count,
        "layers": len(network.layers),
        "anchors": list(network.anchors),
    }
    assert sum(entry["joints"] for entry in report["joints"]) == len(network.space.joints)
    assert all(entry["recomposition_difference"] == 0 for entry in report["models"])
    assert json.loads(json.dumps(report)) == report


def test_the_recipe_is_a_configuration(digit_models, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(inspect_models(digit_models)["recipe"])
    assert yaml.safe_load(path.read_text())["anchors"] == digit_models  # their folders bring weights
    parser = command_parser("fit", "")
    add_run_config(parser)
    parsed = parse(parser, ["--config", str(path)])
    assert parsed.anchors == digit_models
    assert parsed.train.layer_lr == pytest.approx(10 * parsed.train.lr)


def test_a_recipe_names_weights_for_those_that_have_none():
    report = inspect_models(["small=regnetx_002", "resnet10t"], inputs="small")
    assert yaml.safe_load(report["recipe"])["anchors"] == [
        "small=regnetx_002@pretrained",
        "resnet10t@pretrained",
    ]
    assert yaml.safe_load(report["recipe"])["inputs"] == "small"
    assert all("no weights" in entry["doubts"][0] for entry in report["models"])


def test_why_models_do_not_go_together(digit_models, capsys):
    main(["inspect", digit_models[0], "resnet10t"])
    printed = capsys.readouterr().out
    assert "These models cannot be joined: small and resnet10t take different images" in printed
    assert "recipe" not in printed


def test_one_model_has_no_joints(digit_models, capsys):
    main(["inspect", digit_models[0], "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert report["joints"] is report["space"] is report["recipe"] is None
    assert [entry["name"] for entry in report["models"]] == ["small"]


def test_grids_that_differ_are_told(digit_models, capsys):
    main(["inspect", "a=vit_tiny_patch16_224", "b=vit_small_patch32_224"])
    printed = capsys.readouterr().out
    assert "grid 14×14 to 7×7" in printed or "grid 7×7 to 14×14" in printed
    assert "grids do not match" in printed
    assert "anchors:\n- a=vit_tiny_patch16_224@pretrained" in printed
