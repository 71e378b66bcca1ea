"""LoRA adapters of a model that talks: load, switch, merge and unload them without loading the base again."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ar_omni.errors import CheckpointError, InputError, import_extra

if TYPE_CHECKING:
    from ar_omni.modeling import AROmniForCausalLM
    from ar_omni.omni import AROmni


class Adapters:
    """The adapters of one `AROmni`, by name; replies come from the base and the active one.

    Switching puts small maps into the model and takes them out again; the base is never loaded again. A
    conversation that is under way keeps what it has read with the adapter active then.

    Args:
        omni: whose adapters they are.
    """

    def __init__(self, omni: AROmni):
        self._omni = omni
        self._folders: dict[str, Path] = {}
        self._active: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters that are loaded."""
        return tuple(self._folders)

    @property
    def active(self) -> str | None:
        """The adapter that is used; None for the base alone."""
        return self._active

    def load(self, folder: str | PathLike, name: str | None = None) -> None:
        """Load an adapter and use it.

        Args:
            folder: as `save`, `train/lora.py` or PEFT's `save_pretrained` wrote it; it has to stay there.
            name: to call it by; the folder's name by default.

        Raises:
            CheckpointError: no adapter there, or one of another model.
            InputError: a name that is taken.
        """
        folder = Path(folder)
        name = name or folder.name
        if name in self._folders:
            raise InputError(f"expected a new name, got {name!r}, which is loaded already")
        if not (folder / "adapter_config.json").is_file():
            raise CheckpointError(f"expected adapter_config.json in {folder}, got no such file")
        before, self._folders[name] = self._active, folder
        try:
            self.use(name)
        except CheckpointError:
            del self._folders[name]
            self.use(before)
            raise

    def use(self, name: str | None) -> None:
        """Switch to a loaded adapter; None is the base alone."""
        if name is not None and name not in self._folders:
            raise InputError(f"expected one of {', '.join(self.names) or 'no adapters'}, got {name!r}")
        if name == self._active:
            return
        model = self._omni.model
        base = model.unload() if self._active else model
        self._active = None
        self._omni.model = base if name is None else _with_adapter(base, self._folders[name])
        self._active = name

    def save(self, folder: str | PathLike) -> None:
        """Write the active adapter, and nothing of the base."""
        self._check_active("save").save_pretrained(folder, save_embedding_layers=False)

    def unload(self) -> None:
        """Take all adapters out: the base is as it was."""
        self.use(None)
        self._folders.clear()

    def merge(self) -> None:
        """Make the active adapter part of the weights, for `save_pretrained`; the others are taken out."""
        self._omni.model = self._check_active("merge").merge_and_unload()
        self._active = None
        self._folders.clear()

    def _check_active(self, purpose: str) -> Any:
        """The PEFT model."""
        if self._active is None:
            raise InputError(f"expected an active adapter to {purpose}, got none; load or use one")
        return self._omni.model


def _with_adapter(base: AROmniForCausalLM, folder: Path) -> Any:
    """PEFT around `base` with the weights in `folder`; where they do not fit, `base` stays as it was."""
    peft = import_extra("peft", "train")
    config = peft.PeftConfig.from_pretrained(folder)
    config.inference_mode = True
    config.base_model_name_or_path = vars(base).get("name_or_path")  # which PEFT would change, with a warning
    model = peft.get_peft_model(base, config)
    try:
        amiss = model.load_adapter(folder, "default").unexpected_keys
    except (RuntimeError, ValueError, KeyError) as error:
        amiss = str(error).strip().splitlines()[-1:]
    if amiss:
        model.unload()
        raise CheckpointError(f"expected an adapter of this model in {folder}, got {amiss[0].strip()}")
    return model.eval()
