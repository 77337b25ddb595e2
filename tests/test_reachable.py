"""What `import vae` gives: every public module by its dotted name, and nothing that is slow to import."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import vae

SLOW = ("matplotlib", "orbax", "sklearn", "tensorboardX", "tensorflow_datasets")
PROGRAM = """
import json, sys, types
from operator import attrgetter
import vae

imported, root = set(sys.modules), types.SimpleNamespace(vae=vae)

def reached(name):
    try:
        return attrgetter(name)(root) is sys.modules.get(name)
    except AttributeError:
        return False

names, slow = json.loads(sys.argv[1])
print(json.dumps([[name for name in names if not reached(name)], [name for name in slow if name in imported]]))
"""


def public_modules():
    names = [module.name for module in pkgutil.walk_packages(vae.__path__, "vae.")]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


@pytest.fixture(scope="module")
def after_import():
    """In a process of its own, as a walk and the tests' own imports reach what a user would not."""
    command = [sys.executable, "-c", PROGRAM, json.dumps([public_modules(), SLOW])]
    where = Path(vae.__file__).parents[1]
    return json.loads(subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout)


def test_every_public_module_is_reached_by_its_name(after_import):
    """Also none is hidden behind a function of the same name that its package exports."""
    assert len(public_modules()) > 100, "the walk has missed packages"
    assert after_import[0] == []


def test_nothing_slow_is_imported(after_import):
    assert after_import[1] == []
