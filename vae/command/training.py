"""`train`: a script's experiment with its flags, trained or resumed, evaluated and drawn."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vae.command.evaluating import evaluate_run
from vae.command.flags import SMOKE, UNSEEN, Flags, host_of, name_of_module, require_usable, smoked, stop_of, with_flags
from vae.command.runs import loaded_run
from vae.description import describe
from vae.reports.evaluation import PROTOCOL
from vae.training.digest import tree_sha256
from vae.training.fitting import fit
from vae.training.interrupt import exit_code
from vae.training.origin import origin_of
from vae.training.planning import objective_of, splits_of


class Script(NamedTuple):
    """What a script hands to `vae.main`; see there."""

    experiment: Callable[[Any], Any]
    presets: Mapping[str, Any]
    smoke: Mapping[str, Any]
    report: Callable[[Any], Any] | None
    workdir: Callable[[Any], Path] | None


def train(script: Script, config: Flags) -> int:
    """Train, evaluate, draw; return the exit code."""
    preset = script.presets.get(config.preset, script.presets["default"])
    config = smoked(config, preset, {**SMOKE, **script.smoke}) if config.smoke else config
    require_usable(config)
    workdir = workdir_of(script, config)
    experiment = with_flags(script.experiment(config), config)
    experiment = experiment._replace(data=splits_of(experiment.data))
    objective = objective_of(experiment.objective, experiment.data)
    stop = stop_of(config, experiment)
    describe(objective, settings=experiment.settings, schedules=experiment.schedules)
    provenance = {"evaluation_protocol": PROTOCOL, "parent": parent_of(config)}
    host = host_of(config, workdir, stop, origin_of(script.experiment, config, script.report, unseen=UNSEEN), provenance)
    fitted = fit(experiment, workdir, host, config.resume)
    if fitted.signal is not None:
        print(f"stopped at step {int(fitted.state.step)} of {config.steps}; run the same command to go on.")
        return exit_code(fitted.signal)
    if experiment.data.test is None and experiment.data.validation is None:
        print(f"trained: {workdir}; the data have neither a test nor a validation split, so that nothing is evaluated.")
        return 0
    evaluate_run(workdir, samples=config.samples, limit=config.test_examples, experiment=experiment)
    return 0


def workdir_of(script: Script, config: Flags) -> Path:
    """Where a run goes: as the flag says, else as the script says, else runs/ and the script's name."""
    if config.workdir is not None:
        return config.workdir
    if script.workdir is not None:
        return script.workdir(config)
    return Path("runs") / name_of_module(script.experiment)


def parent_of(config: Flags) -> dict[str, Any] | None:
    """Where the first parameters came from, for the provenance; None for a run that starts afresh."""
    if config.init_from is None:
        return None
    loaded = loaded_run(config.init_from)
    digest = tree_sha256(loaded.trained.params)
    return {"workdir": str(config.init_from), "step": loaded.step, "which": loaded.which, "params_sha256": digest}
