"""The command line: one line at the end of a script makes it train, resume, evaluate and sample, or compare models."""

from vae.command import console as console
from vae.command.comparing import ComparisonFlags as ComparisonFlags
from vae.command.comparing import comparison as comparison
from vae.command.flags import Flags as Flags
from vae.command.flags import smoked as smoked
from vae.command.line import main as main
from vae.command.line import run as run
