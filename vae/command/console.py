"""`vae`: what needs no repository, for runs of any script.

vae evaluate --workdir W            its numbers on the test set, and its figures
vae sample --workdir W              examples drawn from it
vae gaps --workdir W                why its bound is loose
vae train my_package.my_paper ...   run a script's training, as python -m does
"""

import os
import runpy
import sys

from vae.command.line import ACTIONS, run


def main() -> None:
    """The console script of the wheel; modules of the present folder are found, as `python -m` finds them."""
    sys.path.insert(0, os.getcwd())
    action, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if action in ACTIONS:
        sys.argv = [f"vae {action}", *arguments]
        run(ACTIONS[action].main, ACTIONS[action].Config, arguments=arguments)
    if action == "train" and arguments and not arguments[0].startswith("-"):
        sys.argv = [arguments[0], *arguments[1:]]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        return
    print(__doc__.strip())
    sys.exit(0 if action in ("", "-h", "--help") else 2)
