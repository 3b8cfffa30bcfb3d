"""Every method with every backbone: a step of most pairs always, all and the whole way of each with --matrix=<file>.

Always: all methods with the networks that can be made narrow, and two methods, of each kind one, with the others.
"""

import copy
import json
import shutil

import pytest
import torch
from omegaconf import OmegaConf

import tbe.checkpoints.checkpoint
from tbe import runs
from tbe.config import build, plain
from tbe.train import build_module
from tests.conftest import ROOT, composed
from tests.pretended_gpu import PretendedGPU

METHODS = sorted(file.stem for file in (ROOT / "configs" / "method").glob("*.yaml"))
BACKBONES = sorted(file.stem for file in (ROOT / "configs" / "backbone").glob("[!_]*.yaml"))
STAGES = ("train", "resume", "eval")
RESIDUAL = ("r3d_18", "r3d_34", "r3d_50", "r2plus1d_18", "r2plus1d_small", "tiny")
NARROW = {name: {"widths": [4, 8, 8, 16]} for name in RESIDUAL}
NARROW |= {f"vit_{size}": {"width": 24, "depth": 2, "heads": 2} for size in ("micro", "ti", "s", "b", "l")}
ALWAYS = {"moco", "flip"}
EXCEPT = (
    "`vicreg` with `tv_s3d` is trained and resumed, but not evaluated: after four steps of two clips its batch norms, "
    "of momentum 0.001, give features that are not finite, which is refused."
)
OF_EACH_FAMILY = {("flip", backbone) for backbone in ("r2plus1d_small", "tv_mvit_v2_s", "tv_swin3d_t", "vit_micro")}
SMALLEST = [
    "experiment=none",
    "clip=8x2_32",
    "contrastive.queue_size=4",
    "batch_size=2",
    "data.num_train=4",
    "data.num_val=2",
    "data.num_test=2",
    "data.num_actions=2",
    "data.num_scenes=2",
    "data.size=32",
    "data.num_frames=16",
    "datamodule.val_limit=2",
    "datamodule.num_workers=0",
    "trainer=cpu",
]


def frames_for(method):
    return 16 if method == "pace" else 8  # it hands on half of them, and s3d wants five


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """The composed config of each method, and the nodes of all backbones."""
    run_dir = tmp_path_factory.mktemp("composed")
    methods = {name: composed("train", *SMALLEST, f"method={name}", run_dir=run_dir) for name in METHODS}
    backbones = {name: OmegaConf.load(ROOT / "configs" / "backbone" / f"{name}.yaml") for name in BACKBONES}
    return methods, backbones


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_on_a_gpu_stays_on_it_and_waits_for_no_number(method, backbone, configs, request):
    """On a pretended one: all pairs with --matrix, else each method once and a network of each family."""
    if not request.config.getoption("--matrix") and backbone != "tiny" and (method, backbone) not in OF_EACH_FAMILY:
        pytest.skip("one of the pairs that are only tried by make matrix")
    config = copy.deepcopy(configs[0][method])
    config.backbone = copy.deepcopy(configs[1][backbone])
    with PretendedGPU() as gpu:
        with torch.device("cuda"):
            module = build_module(plain(config), num_classes=0)
            views = {name: torch.zeros(2, 3, frames_for(method), 32, 32) for name in ("query", "key", "negative")}
        module.log = lambda name, value, **settings: value.detach().clone()
        gpu.settled = True
        assert module.training_step(views, 0).device.type == "cuda"
        module.method.after_step()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_one_step_moves_the_backbone_towards_a_finite_loss(method, backbone, configs, request):
    config = copy.deepcopy(configs[0][method])
    config.backbone = copy.deepcopy(configs[1][backbone])
    if not request.config.getoption("--matrix"):
        if backbone not in NARROW and method not in ALWAYS:
            pytest.skip("one of the pairs that are only tried by make matrix")
        if backbone in NARROW:
            config.backbone = {**config.backbone, **NARROW[backbone]}
    torch.manual_seed(0)
    module = build(plain(config)["module"])
    before = copy.deepcopy(module.backbone.state_dict())
    optimizer = build(plain(config.optimizer))(module.parameters())
    batch = {view: torch.randn(2, 3, frames_for(method), 32, 32) for view in ("query", "key", "negative")}
    module.log = lambda name, value, **settings: None
    loss = module.training_step(batch, 0)
    loss.backward()
    optimizer.step()
    module.method.after_step()
    assert loss.isfinite()
    moved = [name for name, value in module.backbone.named_parameters() if not torch.equal(value, before[name])]
    assert len(moved) > 0.9 * len(list(module.backbone.parameters()))
    assert all(value.isfinite().all() for value in module.state_dict().values())


@pytest.fixture(scope="module")
def table(request):
    """What passed of each pair, written to the file of --matrix as a table in Markdown when all are done."""
    file = request.config.getoption("--matrix")
    if not file:
        pytest.skip("trains, resumes and evaluates every method with every backbone: make matrix")
    passed = {method: {backbone: [] for backbone in BACKBONES} for method in METHODS}
    yield passed
    for (method, backbone), cell in cells_of(ROOT / file).items():  # of earlier runs, where these pairs were not tried
        if method in METHODS and backbone in BACKBONES:
            passed[method][backbone] = passed[method][backbone] or cell
    ran = [method for method in METHODS if any(passed[method].values())]
    rows = ["| | " + " | ".join(ran) + " |", "|---" * (len(ran) + 1) + "|"]
    for backbone in BACKBONES:
        cells = [" ".join(passed[method][backbone]) or "-" for method in ran]
        rows.append(f"| `{backbone}` | " + " | ".join(cells) + " |")
    versions = ", ".join(f"{name} {version}" for name, version in runs.versions().items())
    title = "# Every method with every backbone\n\nWhat passed, from `make matrix` "
    title += f"(at last with {versions}); - was not tried. {EXCEPT}\n\n"
    (ROOT / file).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / file).write_text(title + "\n".join(rows) + "\n", encoding="utf-8")


def cells_of(file):
    """What the table in a file says: by method and backbone, the stages that passed."""
    rows = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    table = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows if row.startswith("| ")]
    if not table:
        return {}
    (_, *methods), *others = table
    return {
        (method, backbone): cell.replace("-", "").split()
        for backbone, *cells in others
        for method, cell in zip(methods, cells, strict=True)
    }


def test_pairs_that_were_not_tried_again_stay_in_the_table():
    cells = cells_of(ROOT / "results" / "matrix.md")
    assert cells["moco", "tiny"] == list(STAGES)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_a_pair_is_trained_resumed_and_evaluated(method, backbone, table, train, evaluate):
    settings = [*SMALLEST, f"method={method}", f"backbone={backbone}", f"clip.num_frames={frames_for(method)}"]
    settings += ["clip.stride=1", "trainer.log_every_n_steps=1", "logger=csv"]
    done = table[method][backbone]
    run = train(*settings, "epochs=1", small=False)
    assert json.loads((run / "metrics.json").read_text())["protocol"]["steps"] == 2
    done.append(STAGES[0])
    train(*settings, "epochs=2", f"resume={run}", small=False)
    assert tbe.checkpoints.checkpoint.read(run / "checkpoints" / "last.ckpt").step == 4
    done.append(STAGES[1])
    metrics = json.loads((evaluate(f"checkpoint={run}", "clips=1") / "metrics.json").read_text())
    assert 0 <= metrics["retrieval/R@1"] <= 100
    done.append(STAGES[2])
    shutil.rmtree(run)  # half a gigabyte of checkpoints each
