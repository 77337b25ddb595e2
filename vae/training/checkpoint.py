"""Checkpoints: the state of a run on disk, so that a run killed at any moment goes on from the last one that is whole.

A thin layer over Orbax's `CheckpointManager`, which writes in the background and commits by renaming. What is added: a
sha256 for every leaf, the step back to the last checkpoint that verifies, a comparison with the wanted structure that names
the parameter, typed keys, the best by score beside the latest, and errors of one sentence. Orbax is imported where a directory
is opened, so that `import vae` need not wait for it.

On disk a checkpoint is a folder named by its step with two items: `state`, the arrays by path, and `record`, JSON with their
types and digests, the score, the notes of the caller and the fingerprint of the machine. A flipped bit in any file is found
or is in a part that is not read: what is restored is exactly what was saved.
"""

import math
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from vae.training.digest import host_array, named_leaves
from vae.training.manifest import CheckpointError as CheckpointError
from vae.training.manifest import DamagedError, describe, matching, place, seal, stored_type, unseal, verifies
from vae.training.orbax_errors import hide_orbax_logs, reason, show_orbax_logs
from vae.training.preservation import BestByScore, Keep, open_manager, ranked
from vae.training.provenance import fingerprint
from vae.types import PyTree


class Restored(NamedTuple):
    """What `Checkpoints.restore` gives back.

    step:    the step it was saved at.
    state:   the template's pytree with the saved values.
    notes:   what the caller had written down.
    score:   of this step, None where it had none.
    skipped: a sentence for each newer checkpoint that did not verify.
    """

    step: int
    state: PyTree
    notes: dict[str, Any]
    score: float | None
    skipped: tuple[str, ...]


class Checkpoints:
    """The checkpoints of one run; a context manager, and leaving it waits for the save that is still being written.

        with Checkpoints(workdir / "checkpoints") as checkpoints:
            if checkpoints.latest_step() is not None:
                step, state, notes, *_ = checkpoints.restore(state)
            ...
            checkpoints.save(step, state, score=elbo, notes={"data_order": 1})

    directory:    created where it does not exist; what an interrupted save left behind in it is removed.
    keep_latest:  how many of the newest steps are kept; with 2, one remains if the newest is damaged.
    keep_best:    how many of the steps with the highest scores are kept beside them, however old.
    asynchronous: whether `save` returns before the files are written.
    read_only:    for a reader beside a run that may still be writing: nothing is created, removed or repaired, and nothing is
                  said of bitwise resumption.

    One writer per directory. With several processes, all of them make the same calls.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keep_latest: int = 2,
        keep_best: int = 1,
        asynchronous: bool = True,
        read_only: bool = False,
    ):
        if keep_latest < 1 or keep_best < 0:
            raise ValueError(f"keep_latest={keep_latest} and keep_best={keep_best} were given; use at least 1 and 0.")
        self.directory = Path(directory).absolute()
        self._keep = (keep_latest, keep_best)
        self._asynchronous = asynchronous
        self._read_only = read_only
        self._damaged: set[int] = set()
        if not read_only:
            self._require_writable()
        elif not self.directory.is_dir():
            raise CheckpointError(f"there are no checkpoints in {self.directory}; give the work directory of a run.")
        hide_orbax_logs()
        self._open()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            self.close()
        except CheckpointError as failure:
            if error is None:
                raise
            warnings.warn(str(failure), RuntimeWarning, stacklevel=2)  # the error that ends the block is the one to be seen

    def close(self) -> None:
        """Wait for the save in progress and release the threads."""
        try:
            self.wait()
        finally:
            self._manager.close()
            show_orbax_logs()

    def wait(self) -> None:
        """Wait for the save in progress; CheckpointError if it failed."""
        saving = self.latest_step()
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._failed_save(saving, error) from error

    def steps(self) -> list[int]:
        """The steps that are there, ascending: with the one being written, without those that `restore` found damaged."""
        return sorted(set(self._manager.all_steps()) - self._damaged)

    def latest_step(self) -> int | None:
        """The newest step, None where there is none."""
        return max(self.steps(), default=None)

    def best_step(self) -> int | None:
        """The step with the highest score, the newer of equals; None where no step has a score."""
        return next(iter(ranked(self.steps(), self._scores)), None)

    def save(self, step: int, state: PyTree, *, score: float | None = None, notes: Mapping[str, Any] | None = None) -> None:
        """Save the state of a step; its buffers may be donated as soon as this returns.

        step:  larger than every step saved so far. Checkpoints that `restore` found damaged are deleted first.
        state: a pytree of jax or NumPy arrays, Python numbers and typed keys.
        score: the higher the better (a validation ELBO); None or a NaN is never the best.
        notes: JSON, given back by `restore`.

        An error while writing is raised here, or by the next `save`, `wait` or `close` if it happens in the background; the
        older checkpoints remain.
        """
        from orbax.checkpoint import args

        self.wait()
        self._delete_damaged()
        latest = self.latest_step()
        if latest is not None and step <= latest:
            raise CheckpointError(f"{self.directory} holds step {latest} already; save step {step} in another directory.")
        leaves = named_leaves(state)
        arrays = {name: host_array(leaf) for name, leaf in leaves.items()}
        score = None if score is None or math.isnan(score) else float(score)
        record = {
            "step": step,
            "score": score,
            "notes": dict(notes or {}),
            "leaves": {name: describe(leaf, arrays[name]) for name, leaf in leaves.items()},
            "fingerprint": fingerprint(),
        }
        items: dict[str, Any] = {"record": args.JsonSave(seal(record))}
        stored = {name: array for name, array in arrays.items() if array.size}  # Orbax refuses empty arrays
        if stored:
            items["state"] = args.PyTreeSave(stored)
        if score is not None:
            self._scores[step] = score
        try:
            self._manager.save(step, args=args.Composite(**items), force=True)
        except Exception as error:
            raise self._failed_save(step, error) from error

    def restore(
        self, template: PyTree, which: Literal["latest", "best"] | int = "latest", *, partial: bool = False
    ) -> Restored:
        """Read a checkpoint back, verified, in the structure and on the devices of the template.

        template: a pytree of arrays, ShapeDtypeStructs, numbers and keys. A leaf takes the sharding its template carries, else
                  the default device; NumPy arrays and Python numbers stay what they are.
        which:    "latest" is the newest that verifies: damaged newer ones are passed over with a warning. "best" and a number
                  mean that one step and nothing else.
        partial:  whether the template may name fewer leaves than were saved (the parameters without the optimiser).

        Raises CheckpointError if nothing is there, nothing verifies, or names, shapes or dtypes differ from the template's.
        Warns where the jax version or the hardware differ from those that saved, since then bits may too.
        """
        self.wait()
        wanted = named_leaves(template)
        skipped: list[str] = []
        for step in self._candidates(which):
            try:
                record = self._record(step)
                described = matching(record["leaves"], wanted, partial)
                arrays = self._arrays(step, described)
            except DamagedError as damage:
                skipped.append(f"the checkpoint of step {step} is damaged: {damage}")
                self._damaged.add(step)
                continue
            self._warn(step, record, skipped)
            leaves = [place(arrays[name], like, described[name].get("impl")) for name, like in wanted.items()]
            state = jax.tree.unflatten(jax.tree.structure(template), leaves)
            return Restored(step, state, record["notes"], record["score"], tuple(skipped))
        raise CheckpointError(f"no checkpoint in {self.directory} can be restored: {'; '.join(skipped)}.")

    def _open(self) -> None:
        """Open the directory, remove half-written checkpoints and read the scores of the whole ones."""
        latest, best = self._keep
        self._scores: dict[int, float] = {}
        keep = Keep(latest, BestByScore(best, self._scores))
        self._manager = open_manager(self.directory, keep, asynchronous=self._asynchronous, read_only=self._read_only)
        for step in self.steps():
            try:
                score = self._record(step)["score"]
            except DamagedError:
                continue  # reported when it is asked for
            if score is not None:
                self._scores[step] = score

    def _require_writable(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory):
                pass
        except OSError as error:
            sentence = f"checkpoints cannot be written to {self.directory} ({reason(error)}); choose another directory."
            raise CheckpointError(sentence) from error

    def _failed_save(self, step: int | None, error: Exception) -> CheckpointError:
        """Forget the failed step, remove its remains, and say what happened."""
        self._manager.close()
        self._open()
        kept = ", ".join(map(str, self.steps())) or "none"
        return CheckpointError(
            f"the checkpoint of step {step} could not be written ({reason(error)}); kept are the steps: {kept}."
        )

    def _delete_damaged(self) -> None:
        for step in self._damaged & set(self._manager.all_steps()):
            self._manager.delete(step)
        self._damaged.clear()

    def _candidates(self, which: str | int) -> list[int]:
        """The steps to try, the preferred one first."""
        steps = self.steps()
        if which == "latest" and steps:
            return steps[::-1]
        step = self.best_step() if which == "best" else which
        if step in steps:
            return [int(step)]
        there = ", ".join(map(str, steps)) or "none"
        wanted = {"latest": "checkpoint", "best": "checkpoint with a score"}.get(str(which), f"checkpoint of step {which}")
        instead = ', so that none is the best: ask for the "latest"' if which == "best" and steps else ""
        raise CheckpointError(f"there is no {wanted} in {self.directory}; the steps there are: {there}{instead}.")

    def _record(self, step: int) -> dict[str, Any]:
        from orbax.checkpoint import args

        try:
            sealed = self._manager.restore(step, args=args.Composite(record=args.JsonRestore())).record
            return unseal(sealed, step)
        except Exception as error:
            raise DamagedError(f"its record cannot be read ({reason(error)})") from error

    def _arrays(self, step: int, described: Mapping[str, dict[str, Any]]) -> dict[str, np.ndarray]:
        """The described arrays of a step in host memory, each verified by its digest."""
        arrays = {name: np.zeros(*stored_type(entry)) for name, entry in described.items()}
        names = [name for name, array in arrays.items() if array.size]
        # One array alone first: a damaged index then fails once, not once per array with a traceback from each thread.
        for group in (names[:1], names[1:]):
            arrays |= self._read(step, group)
        changed = [name for name, array in arrays.items() if not verifies(array, described[name])]
        if changed:
            raise DamagedError(f"{', '.join(changed[:3])} {'is' if len(changed) == 1 else 'are'} not what was saved")
        return arrays

    def _read(self, step: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        from orbax.checkpoint import RestoreArgs, args

        if not names:
            return {}
        request = args.PyTreeRestore(
            item=dict.fromkeys(names, 0),
            restore_args={name: RestoreArgs(restore_type=np.ndarray) for name in names},
            partial_restore=True,
        )
        try:
            restored = self._manager.restore(step, args=args.Composite(state=request)).state
            return {name: np.asarray(restored[name]) for name in names}
        except Exception as error:
            raise DamagedError(f"its arrays cannot be read ({reason(error)})") from error

    def _warn(self, step: int, record: dict[str, Any], skipped: list[str]) -> None:
        if skipped:
            warnings.warn(f"{'; '.join(skipped)}; restored step {step} instead.", RuntimeWarning, stacklevel=3)
        was, now = record["fingerprint"], fingerprint()
        changes = [f"{name} was {was.get(name)} and is {now[name]}" for name in now if was.get(name) != now[name]]
        if changes and not self._read_only:
            sentence = f"bitwise resumption of step {step} cannot be promised: {', '.join(changes)}."
            warnings.warn(sentence, RuntimeWarning, stacklevel=3)
