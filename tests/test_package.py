"""The shape of the package: public names, the direction of imports, and how light `import ar_omni` is."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ar_omni

PACKAGE = Path(ar_omni.__file__).parent
PUBLIC = """
    AROmni AROmniConfig AROmniError AROmniForCausalLM Audio Chat CheckpointError DependencyError
    ImageProgress ImageReady InputError Processor Reply SegmentEnd SegmentStart SpeechChunk Stats TextDelta
    TranscriptDelta TurnEnd UnsupportedOutputError Vocabulary __version__
""".split()
HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "PIL",
    "soundfile",
    "soxr",
    "sentencepiece",
    "tokenizers",
    "safetensors",
)
LAYERS = (
    {"errors"},
    {"vocabulary", "events", "media", "tensor_files"},
    {"configuration", "tokenizers", "template", "messages", "manifest"},
    {"modeling", "quantization"},
    {"processing", "decoding"},
    {"segments", "training"},
    {"streaming"},
    {"convert", "planning"},
    {"loading", "checkpoint", "chat", "adapters"},
    {"omni"},
    {"doctor", "evaluation", "inspection"},
    {"commands"},
    {"terminal", "serving", "bench"},
    {"app"},
    {"cli"},
)
"""Whoever stands in a line may import from the lines above it, and from its own folder."""


def test_public_names_are_pinned():
    assert sorted(ar_omni.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(ar_omni, name) is not None
    assert dir(ar_omni) == PUBLIC
    with pytest.raises(AttributeError, match="no attribute 'Omni'"):
        _ = ar_omni.Omni


def test_types_for_checkers_are_the_names_loaded():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {alias.name: node.module for node in block.body for alias in node.names}
    assert declared == {name: f"ar_omni.{home}" for name, home in ar_omni._HOME_OF.items()}


def test_version_is_the_same_everywhere():
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert project["version"] == ar_omni.__version__
    assert f"[{ar_omni.__version__}]" in (PACKAGE.parent / "CHANGELOG.md").read_text()


def test_import_is_light():
    """In seconds of this process's own CPU time, which other busy programs do not lengthen."""
    code = (
        "import time, sys, json; start = time.process_time(); import ar_omni, ar_omni.cli;"
        "print(json.dumps([time.process_time() - start, sorted(sys.modules)]))"
    )
    seconds, modules = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    )
    assert not set(HEAVY) & set(modules)
    assert seconds < 0.3


def modules() -> list[tuple[str, Path]]:
    """(name of the top-level module or folder, file) of every file of the package."""
    return [
        (file.relative_to(PACKAGE).with_suffix("").parts[0], file)
        for file in sorted(PACKAGE.rglob("*.py"))
        if file != PACKAGE / "__init__.py"
    ]


def imported(file: Path) -> set[str]:
    """Our own modules that `file` imports when it runs, at its top or inside a function."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    folder = ["ar_omni", *file.relative_to(PACKAGE).parts[:-1]]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("ar_omni.")} - set(PUBLIC)


@pytest.mark.parametrize(("name", "file"), modules(), ids=lambda value: getattr(value, "stem", value))
def test_imports_point_one_way(name, file):
    level = next((i for i, layer in enumerate(LAYERS) if name in layer), None)
    assert level is not None, f"say in LAYERS where {name} stands"
    allowed = set().union(*LAYERS[:level], {name})
    if name == "training":
        allowed.discard("decoding")
    assert imported(file) <= allowed


def test_every_command_of_this_release_has_its_function():
    from ar_omni.cli import COMMANDS

    later = {"bench"}
    for command in COMMANDS:
        module, name = command.function.split(":")
        if command.name not in later:
            assert callable(getattr(importlib.import_module(module), name)), command.name


def test_everything_needed_is_in_the_wheel_settings():
    """Each kind of data file in the package matches a pattern of `package-data`."""
    import tomllib

    patterns = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]
    matched = {
        file
        for package, globs in patterns.items()
        for glob in globs
        for file in PACKAGE.parent.joinpath(*package.split(".")).glob(glob)
    }
    data = {f for f in PACKAGE.rglob("*") if f.is_file() and f.suffix not in (".py", ".pyc")}
    assert data <= matched
