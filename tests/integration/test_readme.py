import re
from pathlib import Path

import stitchable

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_python_runs_as_written(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    block = next(block for block in blocks if "save_pretrained" in block)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, str(README), "exec"), names)
    network, stitch = names["network"], names["stitch"]
    assert network.space.count == 12
    assert stitchable.Subnetwork.from_pretrained("model").stitch == network.space.stitch(stitch)
    assert len(names["layers"]) == len(network.space.layers)


def test_every_public_name_is_there():
    assert all(getattr(stitchable, name) is not None for name in stitchable.__all__)
    assert set(stitchable.__all__) <= set(dir(stitchable))
