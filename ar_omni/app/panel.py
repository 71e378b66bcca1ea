"""The panel about the machine and the model: what `ar-omni doctor` knows, and who is here now."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from ar_omni.doctor import environment, memory_needed


def panel(folder: Path, live: Mapping[str, str]) -> str:
    """As HTML.

    Args:
        folder: of the model.
        live: name -> value of what changes.
    """
    found = environment()
    missing = [name for name, version in found["packages"].items() if version is None]
    facts = {
        **live,
        "ar-omni": found["ar_omni"],
        "Python": f"{found['python']}, {found['system']}",
        "devices": "; ".join(found["devices"]),
        "memory": f"{(found['memory_bytes'] or 0) / 2**30:.1f} GiB",
        "torch": found["packages"]["torch"],
        "not installed": ", ".join(missing) or "nothing",
    }
    rows = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items())
    needs = "".join(
        f"<tr><th>{dtype}</th><td>{memory.weights / 2**20:.0f}</td><td>{memory.cache / 2**20:.0f}</td>"
        f"<td>{memory.total / 2**20:.0f}</td></tr>"
        for dtype, memory in memory_needed(folder).items()
    )
    head = f"<caption>{escape(folder.name)}, MiB</caption>"
    return (
        f'<table class="facts">{rows}</table><table class="facts">{head}'
        f"<tr><th></th><td>weights</td><td>cache</td><td>total</td></tr>{needs}</table>"
    )
