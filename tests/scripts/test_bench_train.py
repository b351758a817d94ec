"""scripts/bench_train.py on a few small images, and whether what it compares is the same."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hfvae_runner.data import as_float
from hfvae_runner.errors import ConfigError
from hfvae_runner.runs import assembly

SCRIPTS = Path(__file__).parents[2] / "scripts"
SETTINGS = (
    *("hfvae_mnist", "beta_tcvae_dsprites", "joint_vae_mnist"),
    *("alpha_beta_shapes_student_t", "isa_vae_dsprites"),
)
SMALL = ("dataset=digits", "batch_size=12", "threads=1")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The script and its parts, without processes of their own."""
    monkeypatch.syspath_prepend(SCRIPTS)
    threads, device = torch.get_num_threads(), "cpu"
    parts = {name: importlib.import_module(f"_bench.{name}") for name in ("aggregates", "floor", "memory", "plain")}
    parts |= {name: importlib.import_module(f"_bench.{name}") for name in ("pairs", "settings", "start", "ways")}
    script = importlib.import_module("bench_train")
    monkeypatch.setattr(parts["memory"], "peak_in_own_process", lambda *_: 12_000_000)
    monkeypatch.setattr(parts["aggregates"], "peak_in_own_process", lambda *_: 34_000_000)
    yield SimpleNamespace(main=script.main, script=script, device=device, **parts)
    torch.set_num_threads(threads)
    HydraConfig.instance().cfg = None


@pytest.fixture
def mnist(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A made-up MNIST of 600 images, where none is at hand."""
    monkeypatch.setenv("HFVAE_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr(sys.modules["_bench.data_files"], "IDX", {"train": 600, "t10k": 100})


@pytest.mark.parametrize("name", SETTINGS)
def test_the_plain_loss_and_its_gradients_are_ours(bench: SimpleNamespace, name: str) -> None:
    run = assembly.assemble(bench.settings.config_of(name, SMALL))
    generator = torch.Generator().manual_seed(1)
    # Far enough on the way for the capacities to be above 0, and one of them below the divergence.
    step = 700
    batch = run.batches.at(step)
    x = batch.x
    noise = run.model.latents.noise(len(x), generator)
    ours, _ = run.loss(*batch, noise, run.objective.noise(len(x), generator), run.objective.knobs(step, run.device))
    ours.backward()
    parameters = list(run.model.parameters())
    gradients = [parameter.grad for parameter in parameters]
    run.model.zero_grad()

    loss, sizes = bench.plain.LOSSES[name]
    # Some priors have several blocks of normal factors.
    normal = len(noise) - len(sizes) + 1
    own = [torch.cat(noise[:normal], dim=1), *noise[normal:]]
    assert [each.shape[1] for each in own] == list(sizes)
    plain = loss(run.model.encoder, run.model.decoder, as_float(x), own, step, run.n_data)
    plain.backward()
    torch.testing.assert_close(plain, ours, rtol=2e-6, atol=0)
    for parameter, expected in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=1e-4)


def test_the_plain_loop_learns_from_every_example(bench: SimpleNamespace) -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 20))
    decoder = nn.Sequential(nn.Linear(10, 4), nn.Unflatten(1, (1, 1, 2, 2)))
    images = torch.rand(8, 1, 2, 2)
    loop = bench.plain.PlainLoop("beta_tcvae_dsprites", encoder, decoder, images, batch_size=3, lr=1e-2, amsgrad=True)
    drawn: list[torch.Tensor] = []
    loss, before = loop.loss, [parameter.clone() for parameter in encoder.parameters()]
    loop.loss = lambda *given: (drawn.append(given[2]), loss(*given))[1]
    assert loop(4) > 0
    assert [len(x) for x in drawn] == [3, 3, 3, 3]
    # Two batches an epoch, in another order each time, without one example twice.
    epochs = [torch.cat(drawn[:2]), torch.cat(drawn[2:])]
    assert all(len(epoch.flatten(1).unique(dim=0)) == 6 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert all(not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))
    assert "max_exp_avg_sq" in loop.optimizer.state[next(iter(encoder.parameters()))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_floor_has_the_products_of_a_step(bench: SimpleNamespace, dtype: torch.dtype) -> None:
    encoder = nn.Sequential(
        nn.Conv2d(1, 3, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 6)
    )
    decoder = nn.Sequential(
        nn.Linear(3, 8), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 1, 4, stride=2, padding=1)
    )
    x, code = torch.rand(5, 1, 8, 8), torch.randn(5, 3)
    products = bench.floor.products(encoder, decoder, x, code, dtype)
    assert [product.calls for product in products] == [2, 3, 3, 3, 3]

    # torch's own count: of a real step, and of what the floor does.
    with FlopCounterMode(display=False) as of_a_step:
        (encoder(x).sum() + decoder(code.requires_grad_()).sum()).backward()
    with FlopCounterMode(display=False) as of_the_floor:
        for product in products:
            product.run()
    counted = sum(product.operations for product in products)
    assert of_a_step.get_total_flops() == of_the_floor.get_total_flops() == counted


@pytest.mark.parametrize("estimator", ["mws", "stratified"])
def test_both_tables_give_the_same_numbers(bench: SimpleNamespace, estimator: str) -> None:
    of = {}
    for name, way in bench.aggregates.WAYS.items():
        given = bench.aggregates.inputs(50, torch.device("cpu"))
        value = way(estimator)(*given)
        value.backward()
        of[name] = value, *(each.grad for each in given)
    for plain, ours in zip(of["plain"], of["ours"], strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_the_tables(bench: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--settings", "hfvae_mnist", "--steps", "1", "--rounds", "2", "--threads", "1")
    assert bench.main([*arguments, "--rows", "550", "--stacked", "1,3", "--device", "cpu"]) == 0
    machine, head, *lines = capsys.readouterr().out.splitlines()
    assert "1 threads" in machine and f"torch {torch.__version__}" in machine
    assert head.startswith("HFVAE MNIST, MLP, B=512 ")
    contestants, data, empty, stacked_head, *stacked = lines[:6], *lines[6:]
    titles = ["plain loop", "fp32", "bf16", "products, fp32", "products, bf16", "products, fp32, torch's"]
    assert [line[2:34].rstrip() for line in contestants] == titles
    assert contestants[0].split()[3:6] == ["1.00", "[1.00,", "1.00]"]
    for line in contestants[:3]:
        *_, floor, megabytes = line.split()
        assert 0 < float(floor) < 1.5 and megabytes == "12"
        assert len(line) == len(head)
    assert data == "(550 examples of MNIST of random bytes)" and empty == ""
    assert stacked_head.startswith("HFVAE MNIST, MLP, B=64, stacked ")
    assert [line.split()[:2] for line in stacked] == [["1", "run"], ["3", "runs"]]


def test_the_table_of_the_aggregate_posterior(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.script, "_TABLE_BATCH", 32)
    monkeypatch.setattr(bench.script, "_TABLE_LARGEST", 64)
    assert bench.main(["--table", "--rounds", "1", "--threads", "1", "--device", "cpu"]) == 0
    _, head, *lines = capsys.readouterr().out.splitlines()
    assert [line[:34].rstrip() for line in lines] == [
        f"{estimator}, B={batch}, F=10" for estimator in ("mws", "stratified") for batch in (32, 64)
    ]
    assert all(len(line) == len(head) and line.endswith(" 34") for line in lines)


def test_the_table_of_layouts(
    bench: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts = importlib.import_module("_bench.layouts")
    models = (SCRIPTS.parent / "conf" / "model").glob("*conv*.yaml")
    assert layouts.SIDES.keys() == {path.stem for path in models} | {"dcgan"}
    monkeypatch.setattr(layouts, "SIDES", {"conv_joint32": 32})
    monkeypatch.setattr(layouts, "BATCH", 4)
    assert bench.main(["--layouts", "--steps", "1", "--rounds", "1", "--threads", "1", "--device", "cpu"]) == 0
    _, head, *lines = capsys.readouterr().out.splitlines()
    assert "channels-last" in head
    assert [line[:34].rstrip() for line in lines] == ["conv_joint32, fp32", "conv_joint32, bf16"]


def test_a_start_ends_after_the_first_step(bench: SimpleNamespace, tmp_path: Path) -> None:
    before = assembly.dataset_of
    start = bench.start.start(["threads=1", "objective=vae", "prior=normal"])
    assert start.step > 0 and start.data > 0
    assert assembly.dataset_of is before
    with pytest.raises(SystemExit) as refused:
        bench.start.start(["objective=vea"])
    assert refused.value.code == 2


def test_the_lines_of_starts(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = iter([(1.0, 0.2, 3.0), (2.0, 0.4, 1.0), (3.0, 0.3, 2.0)])
    monkeypatch.setattr(bench.start, "_in_own_process", lambda overrides: bench.start.Start(*next(starts)))
    _, line = bench.start.lines({"a run": []}, 3)
    assert line.split() == ["a", "run", "2.00", "0.30", "2.00", "[1.00,", "3.00]"]


def test_the_lines_of_pairs(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # By the round, for each way to wait: one alone, then two.
    found = iter([(100, 10), (150, 8), (200, 5), (50, 20), (100, 10), (110, 8), (200, 5), (70, 20)])
    asked = []

    def measured(overrides: list[str], spins: str | None, runs: int) -> object:
        asked.append((spins, runs))
        return bench.pairs.Taken(*next(found))

    monkeypatch.setattr(bench.pairs, "measured", measured)
    assert bench.main(["--pairs", "--settings", "none", "--rounds", "2"]) == 0
    _, _, title, ours, others, alone = capsys.readouterr().out.splitlines()
    assert asked == [(None, 1), (None, 2), ("300000", 1), ("300000", 2)] * 2
    assert title == "the defaults"
    assert ours[34:].split() == ["100", "130", "1.30", "[1.10,", "1.50]", "2.50"]
    assert others[34:].split() == ["200", "60", "0.30", "[0.25,", "0.35]", "0.50"]
    assert alone.split(":")[1] == " 0.50 of the rate with the last number of turns"


@pytest.mark.slow
def test_two_runs_at_once_are_measured(bench: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    taken = bench.pairs.measured(
        ["steps=4", "threads=1", "train.log_every=1", "metrics=hoyer", "metrics.figures=false"], None, 2
    )
    assert taken.rate > 0 and taken.seconds > 0
    with pytest.raises(subprocess.CalledProcessError):
        bench.pairs.measured(["stpes=4"], "0", 1)
    assert "stpes" in capsys.readouterr().err


def test_the_peak_is_that_of_the_steps(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    ones = torch.ones(1000)
    held: list[torch.Tensor] = []

    def turn_of(experiment: str, way: object, overrides: list[str]) -> object:
        if "dataset=digits" in overrides:
            return lambda steps: 0.0
        # The data take 160 MB, reading them 800, and a step 320.
        ones.repeat(200_000)
        held.append(ones.repeat(40_000))
        return lambda steps: ones.repeat(80_000)

    monkeypatch.setattr(bench.ways, "turn_of", turn_of)
    peak = bench.memory.peak("hfvae_mnist", bench.ways.ways(torch.device("cpu"), compiled=False)["fp32"], [])
    # Give or take what this process has lying about from other tests.
    assert peak is None or 340e6 < peak < 640e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--settings", "hfvae_mnits"], "there is no setting 'hfvae_mnits'"),
        (["--settings", "hfvae_mnist", "--rows", "601", "--device", "cpu"], "dataset.subset=601"),
    ],
)
@pytest.mark.usefixtures("mnist")
def test_what_cannot_be_measured_is_refused(
    bench: SimpleNamespace, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--rounds", "-1"], ["--stacked", "1,x"], ["--device", "tpu"]])
def test_numbers_that_are_none(bench: SimpleNamespace, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        bench.main(arguments)
    assert refused.value.code == 2


def test_published_files_are_used(bench: SimpleNamespace, tmp_path: Path) -> None:
    data: ModuleType = bench.settings
    nothing = data.Data(10, tmp_path / "nothing", tmp_path)
    assert nothing.overrides("isa_vae_dsprites") == ["dataset.subset=10", "dataset=dsprites_rendered"]
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz").touch()
    here = data.Data(10, tmp_path / "here", tmp_path)
    assert here.overrides("isa_vae_dsprites") == ["dataset.subset=10", f"data_root='{tmp_path / 'here'}'"]
    assert (nothing.said("isa_vae_dsprites"), here.said("isa_vae_dsprites")) == (
        "dSprites drawn here",
        "dSprites as published",
    )


def test_compiled_ways_ask_for_a_compiler(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="no-such-compiler"):
        bench.ways.ways(torch.device("cpu"), compiled=True)
