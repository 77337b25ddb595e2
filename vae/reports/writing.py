"""What a script leaves behind: its numbers with where they are from, a table and a figure."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae.training.origin import flags_as_json
from vae.training.provenance import provenance, write_json

if TYPE_CHECKING:
    import matplotlib.figure


def write_results(
    folder: Path, name: str, numbers: Mapping[str, Any], table: str, figure: "matplotlib.figure.Figure", config: Any, data: str
) -> None:
    """Print the table; write `name`.json, `name`.md and `name`.png into a folder: numbers, table and figure.

    config: the flags of the script, for the JSON.
    data:   the digest of its data, for the same.
    """
    from vae import visualise

    folder.mkdir(parents=True, exist_ok=True)
    record = {"config": flags_as_json(config), **numbers, "provenance": provenance(sys.argv, data)}
    write_json(folder / f"{name}.json", record)
    (folder / f"{name}.md").write_text(table, encoding="utf-8")
    visualise.save(figure, folder / f"{name}.png")
    print(table + f"written: {folder / name}.json, .md and .png")
