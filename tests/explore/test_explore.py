"""``python -m hfvae_runner.explore``: what the page holds, and what is refused."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_parts
import torch
from PIL import Image
from stacks import tiny

import hfvae_runner
from hfvae_runner.data import Dataset
from hfvae_runner.explore import decoder
from hfvae_runner.explore.command import main
from hfvae_runner.runs import assembly, single

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

SMALL = ("device=cpu", "batch_size=16", "steps=2", "metrics=hoyer", "metrics.figures=false", "train.progress=false")


def trained(*overrides: str) -> Any:
    return hfvae_runner.train([*SMALL, *overrides, "hydra.run.dir=run"], device="cpu")


def content(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def cell(sheet: str, across: int, place: int, side: int) -> np.ndarray:
    """An image of a sheet, [side, side] or [side, side, 3]."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))))
    row, column = divmod(place, across)
    return pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]


def test_what_the_page_holds(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("image_size=8", "beta=7")
    assert main(["run"]) == 0
    assert capsys.readouterr().out == "run/explore.html\n"
    data = content(Path("run/explore.html"))
    names = [f"style[{d}]" for d in range(10)]
    assert [each["name"] for each in data["variables"]] == [*names, "class"]
    examples = data["examples"]
    dataset = assembly.dataset_of(run._config)
    assert sorted(examples["numbers"]) == list(range(len(dataset.test)))
    first, number = examples["codes"][0], examples["numbers"][0]
    codes = run.encode(dataset.test.x[torch.tensor([number])])
    np.testing.assert_allclose(first[:10], codes.mean[0], rtol=1e-5)
    assert first[10] == codes.probabilities["class"].argmax()
    image = dataset.test.x[torch.tensor([number])][0, 0].numpy()
    np.testing.assert_array_equal(cell(examples["sheet"], examples["across"], 0, 8), image)
    (mark,) = examples["marks"]
    assert dataset.test.labels is not None and dataset.label_names is not None
    assert mark["names"][mark["values"][0]] == dataset.label_names[dataset.test.labels[number]]
    assert len({mark["values"][preset] for preset in data["presets"][:10]}) == 10, "one of each class first"
    assert data["decoded"] is None and data["decoder"]["link"] == "sigmoid"


def test_a_decoder_above_the_limit_gives_pictures() -> None:
    run = trained("image_size=8")
    assert main(["run", "out=page.html", "limit=0.01"]) == 0
    data = content(Path("page.html"))
    assert data["decoder"] is None and len(data["decoded"]) == len(data["presets"]) == 10
    dataset, preset, sheet = assembly.dataset_of(run._config), data["presets"][3], data["decoded"][3]
    codes = run.encode(dataset.test.x[torch.tensor([data["examples"]["numbers"][preset]])])
    shown = cell(sheet["sheet"], sheet["across"], 0, 8)
    np.testing.assert_array_equal(shown, np.rint(255 * run.decode(codes)[0, 0]))
    # Eleven values of style[0], then of style[1].
    moved = codes.mean.copy()
    moved[0, 1] = data["variables"][1]["low"]
    expected = run.decode(moved, {"class": codes.probabilities["class"].argmax(1)})[0, 0]
    np.testing.assert_allclose(cell(sheet["sheet"], sheet["across"], 12, 8), 255 * expected, atol=0.51)


@pytest.mark.parametrize("model", ["mlp_1200", "conv_joint32", "dcgan", "auto", "conv_celeba"])
def test_plain_layers_compute_the_decoder(model: str) -> None:
    side = {"conv_joint32": 32, "dcgan": 64, "conv_celeba": 64}.get(model, 20)
    run = trained(f"model={model}", f"image_size={side}", "objective=vae", "prior=normal", "dataset.subset=64")
    generator = torch.Generator().manual_seed(0)
    for name, buffer in run.model.named_buffers():
        if "running" in name:  # two steps leave them where they began
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    layers = decoder.layers_of(run.model)
    assert layers is not None
    code = torch.randn(5, run.model.latents.n_code, generator=generator)
    with torch.no_grad():
        expected = run.model.decode(code).flatten(1)
    torch.testing.assert_close(decoder.computed(layers, code).flatten(1), expected, rtol=1e-4, atol=1e-5)
    kinds = {layer.kind for layer in layers}
    assert ("conv_transpose" in kinds) == (model != "mlp_1200")


def test_numbers_of_32_bits_where_16_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("image_size=8")
    assert main(["run"]) == 0
    assert content(Path("run/explore.html"))["decoder"]["numbers"] == "float16"
    checkpoint = torch.load("run/checkpoints/last.pt", weights_only=True)
    last = [name for name in checkpoint["model"] if name.startswith("decoder") and name.endswith("weight")][-1]
    checkpoint["model"][last] *= 1000
    torch.save(checkpoint, "run/checkpoints/last.pt")
    assert main(["run"]) == 0
    assert content(Path("run/explore.html"))["decoder"]["numbers"] == "float32"
    assert run.device.type == "cpu"


HOSTILE = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a & \"b\" 'c' \u2028 \x07")


def hostile() -> Dataset:
    """Images whose classes have names of HTML and control characters."""
    plain = tiny_parts.unit_interval()
    return Dataset(plain.train, plain.test, "unit_interval", HOSTILE)


def test_names_stay_text() -> None:
    single.run(tiny("vae", dataset={"_target_": "test_explore.hostile"}), Path("run"))
    assert main(["run", "trust=[test_explore,tiny_parts]"]) == 0
    text = Path("run/explore.html").read_text("utf-8")
    assert all(name not in text for name in HOSTILE)
    assert content(Path("run/explore.html"))["examples"]["marks"][0]["names"] == list(HOSTILE)
    assert text.count("<script") == text.count("</script>") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such run"),
        ([], "expected RUN"),
        (["a", "b"], "a b: expected one run folder or checkpoint"),
        (["run", "lmit=3"], "lmit=3: expected one of out, limit, data_root, device, trust; did you mean 'limit'"),
        (["run", "limit=-1"], "limit=-1: expected a number of MB from 0 on"),
        (["run", "out=page.png"], "out=page.png: expected a name that ends in .html"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


def test_a_model_that_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    trained("image_size=8")
    checkpoint = torch.load("run/checkpoints/last.pt", weights_only=True)
    for name, value in checkpoint["model"].items():
        if name.startswith("encoder"):
            value.fill_(float("nan"))
    torch.save(checkpoint, "run/checkpoints/last.pt")
    capsys.readouterr()
    assert main(["run"]) == 2
    assert "the codes of its test images are not finite" in capsys.readouterr().err


def test_data_that_are_no_images(capsys: pytest.CaptureFixture[str]) -> None:
    trained("dataset=pinwheel", "objective=vae", "image_size=null")
    capsys.readouterr()
    assert main(["run"]) == 2
    assert "run: the data are not images; expected a run on images" in capsys.readouterr().err
    assert not Path("run/explore.html").exists()
