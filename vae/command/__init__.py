"""The command line: one line at the end of a script makes it train, resume, evaluate, sample and measure its gaps."""

from vae.command import console as console
from vae.command.flags import Flags as Flags
from vae.command.line import main as main
from vae.command.line import run as run
