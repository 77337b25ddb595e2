"""`vae`, or `python -m vae`: what needs no repository, for runs of any script.

vae evaluate --workdir W            its numbers on the test set, and its figures
vae sample --workdir W              examples drawn from it
vae morph --workdir W               from one test image to the next, moving
vae gaps --workdir W                why its bound is loose
vae train my_package.my_paper ...   run a script's training, as python -m does
"""

import importlib.util
import os
import runpy
import sys

from vae.command.line import ACTIONS, guarded, run


def main() -> None:
    """The console script of the wheel; modules of the present folder are found, as `python -m` finds them."""
    sys.path.insert(0, os.getcwd())
    action, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if action in ACTIONS:
        run(ACTIONS[action].main, ACTIONS[action].Config, arguments=arguments, program=f"vae {action}")
    if action == "train" and arguments and not arguments[0].startswith("-"):
        with guarded():
            require_module(arguments[0])
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        print(f"error: {arguments[0]} does not call vae.main; end it with vae.main(experiment).", file=sys.stderr)
        sys.exit(1)
    asked = action in ("", "-h", "--help")
    print(__doc__.strip(), file=sys.stdout if asked else sys.stderr)
    sys.exit(0 if asked else 2)


def require_module(name: str) -> None:
    """Refuse what no import finds; what goes wrong inside a module keeps its traceback."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ValueError(
            f"there is no module {name}; name one as import does, without .py, from its folder or with PYTHONPATH."
        )
