"""The plan of a training: sharded meta tensors, what the launcher is told, and the table in the docs."""

import re
import runpy
from types import SimpleNamespace

import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin
from accelerate.commands import launch
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.testing._internal.distributed.fake_pg import FakeStore

from ar_omni.configuration import AROmniConfig
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.training.objective import Objective, ObjectiveOptions
from ar_omni.training.plan import STATE_BYTES, Plan, Sizes
from ar_omni.vocabulary import Vocabulary


def test_sizes_are_those_of_the_model(make_config, make_model):
    config = make_config(tie_word_embeddings=False)
    sizes = Sizes.of(config)
    model = make_model(tie_word_embeddings=False)
    assert sizes.total == sum(parameter.numel() for parameter in model.parameters())
    assert sizes.root + 2 * sizes.layer == sizes.total


def test_seven_billion_on_eight_gpus():
    config = AROmniConfig()
    total = Sizes.of(config).total
    assert total == pytest.approx(7.04e9, rel=0.01)
    plan = Plan(8, 13_000, 624_000, 140_000)
    assert plan.memory(config)["states"] == pytest.approx(2 * total)
    assert plan.days(config) == pytest.approx(8 * total * 624_000 * 140_000 / (8 * 0.4 * 989e12) / 86_400)
    adapter = Plan(8, 13_000, 624_000, 140_000, trained=10**7)
    assert adapter.memory(config)["states"] == pytest.approx(4 * total + 16e7)


@pytest.fixture
def world():
    """`world(size)`: as the first of so many processes, none of which is there."""
    distributed = torch.distributed

    def start(size: int) -> None:
        distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=size)

    yield start
    distributed.destroy_process_group()


@pytest.mark.parametrize("gpus", [8, 64])
@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_fsdp2_spreads_seven_billion_evenly(world, gpus, norm_position):
    """The plan's states, by accelerate's own sharding of meta tensors."""
    world(gpus)
    config = AROmniConfig(norm_position=norm_position)
    with torch.device("meta"):
        model = AROmniForCausalLM(config)
        objective = Objective(model, Vocabulary.ar_omni_7b(), torch.zeros(8192, 256), ObjectiveOptions())
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="transformer_based_wrap")
    mesh = init_device_mesh("cpu", (gpus,), mesh_dim_names=("dp_shard_cp",))
    accelerator = SimpleNamespace(
        state=SimpleNamespace(fsdp_plugin=plugin),
        torch_device_mesh=mesh,
        parallelism_config=SimpleNamespace(fsdp_dim_names=["dp_shard_cp"]),
        mixed_precision="bf16",
        is_main_process=True,
    )
    fsdp2_prepare_model(accelerator, objective)
    assert all(isinstance(layer, FSDPModule) for layer in model.model.layers)
    held = sum(value.to_local().numel() for value in objective.parameters())
    states = Plan(gpus, 1, 1, 1).memory(config)["states"]
    assert STATE_BYTES * held == pytest.approx(states, rel=1e-3)


ENGINES = {
    "ddp": {},
    "fsdp2": {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"},
    "context": {"ACCELERATE_USE_FSDP": "true", "PARALLELISM_CONFIG_CP_SIZE": "2"},
    "deepspeed_zero3": {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"},
}


@pytest.mark.parametrize("name", ENGINES)
def test_accelerate_launch_understands_the_files(pytestconfig, monkeypatch, name):
    """What the launcher would tell the processes."""
    path = pytestconfig.rootpath / f"configs/accelerate/{name}.yaml"
    launched = []
    for launcher, tell in {
        "multi_gpu_launcher": prepare_multi_gpu_env,
        "deepspeed_launcher": lambda args: prepare_deepspeed_cmd_env(args)[1],
    }.items():
        monkeypatch.setattr(launch, launcher, lambda args, tell=tell: launched.append((args, tell(args))))
    launch.launch_command(
        launch.launch_command_parser().parse_args(["--config_file", str(path), "train/finetune.py"])
    )
    ((args, environment),) = launched
    assert args.num_processes == 8
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert {key: environment[key] for key in ENGINES[name]} == ENGINES[name]
    sizes = [int(environment.get(f"PARALLELISM_CONFIG_{key}_SIZE", 1)) for key in ("DP_SHARD", "CP")]
    assert name != "context" or sizes[0] * sizes[1] == args.num_processes


def test_every_file_for_accelerate_is_tested(pytestconfig):
    files = (pytestconfig.rootpath / "configs/accelerate").glob("*.yaml")
    assert {path.stem for path in files} == {*ENGINES, "cpu"}


def test_the_table_in_the_docs_is_the_computed_one(pytestconfig, capsys):
    runpy.run_path(str(pytestconfig.rootpath / "train/plan.py"), run_name="__main__")
    page = (pytestconfig.rootpath / "docs/training.md").read_text(encoding="utf-8")
    assert re.search(r"plan:begin -->\n(.*?)<!-- plan:end", page, re.S)[1] == capsys.readouterr().out
