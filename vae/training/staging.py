"""Experiments that stand on each other: a first stage whose model the second one is made with."""

from collections.abc import Callable, Mapping
from pathlib import Path

from vae.trained import Trained
from vae.training.experiment import Experiment, Host
from vae.training.fitting import Fitted, fit

Stage = Experiment | Callable[[Mapping[str, Trained]], Experiment]


def stages(
    steps: Mapping[str, Stage], workdir: str | Path | None = None, host: Host | None = None, resume: str = "same"
) -> dict[str, Fitted]:
    """Run experiments one after the other, each in a subfolder of its name; what was finished before is not run again.

    steps: by name, in order, an experiment, or a function from the trained models of the stages before it to one. Those models
           are parents of what the function returns: their digests enter its identity, so that another first stage is another
           second one.

    A stage that a signal ends is the last one. Errors: see `fit`.

    >>> second = lambda trained: experiment._replace(start=trained["first"])
    >>> list(vae.stages({"first": experiment, "second": second}, host=vae.Host(progress=False)))
    ['first', 'second']
    """
    done: dict[str, Fitted] = {}
    for name, stage in steps.items():
        trained = {earlier: fitted.trained for earlier, fitted in done.items()}
        experiment = stage if isinstance(stage, Experiment) else with_parents(stage(trained), trained)
        folder = None if workdir is None else Path(workdir) / name
        done[name] = fit(experiment, folder, host, resume)
        if done[name].signal is not None:
            break
    return done


def with_parents(experiment: Experiment, trained: Mapping[str, Trained]) -> Experiment:
    """The experiment with the stages before it among its parents."""
    return experiment._replace(parents={**trained, **experiment.parents})
