"""References: a function and its arguments by name, so that a config file can say what was built and a fresh process build it.

A user's model, objective or data set lives in a module of their own. `config.json` names it as "module:function" with JSON
arguments; nothing is pickled.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Reference(NamedTuple):
    """A call that has not been made yet.

    function:  "module:function"; dots after the colon reach into a class ("module:Class.build").
    arguments: the keyword arguments, as JSON has them: tuples are lists, keys are strings.
    """

    function: str
    arguments: dict[str, Any]


def reference_to(function: Callable, /, **arguments: Any) -> Reference:
    """The reference that `resolve` turns into `function(*given, **arguments)`, in this process and in any later one.

    Raises ValueError for what a fresh process cannot find (a lambda, a function inside a function, one of a notebook),
    TypeError for arguments that JSON cannot hold or that the function does not take.
    """
    reference = Reference(name_of(function), _as_json(name_of(function), arguments))
    _check_call(function, reference, inspect.Signature.bind_partial)
    return reference


def name_of(function: Callable) -> str:
    """The "module:function" by which a fresh process finds a function or a class; that of a script by the script's own name.

    Raises ValueError for what it cannot find.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name:
        raise ValueError(f"{function!r} has no name of its own; write it as a function in a module that can be imported.")
    if "<lambda>" in name:
        raise ValueError(f"a lambda (in {module}) cannot be found again; write it as a named function in a module.")
    if "<locals>" in name:
        raise ValueError(f"{name} is defined inside another function; move it to the top of module {module}.")
    module = name_of_script() if module == "__main__" else module
    if module is None:
        raise ValueError(f"{name} belongs to a session without a file; move it to a module that can be imported.")
    if locate(f"{module}:{name}") != function:
        raise ValueError(f"{module}:{name} names something else than {function!r}; give it a name of its own in its module.")
    return f"{module}:{name}"


def name_of_script() -> str | None:
    """The name under which the module that runs as `__main__` can be imported; None in a notebook or at a prompt.

    From then on an import of that name gives the module that runs, not a second copy of it, whose classes would be others.
    """
    script = sys.modules["__main__"]
    spec, file = getattr(script, "__spec__", None), getattr(script, "__file__", None)
    name = spec.name if spec is not None else Path(file).stem if file and Path(file).suffix == ".py" else None
    if name is not None:
        sys.modules.setdefault(name, script)
    return name


def resolve(reference: Reference, *inputs: Any) -> Any:
    """Import the function and call it: function(*inputs, **arguments).

    inputs: what is known only where it is built, such as the shape of the data; they come first and are not in the reference.

    A module is found as `import` finds it. `python -m experiments.train` puts the current directory on the path, so that a
    module beside the one who calls works; an installed console command does not, and needs PYTHONPATH.

    Raises ValueError for a module or a name that is not there, TypeError for arguments that the function does not take. What
    the function itself raises passes through.
    """
    function = locate(reference.function)
    _check_call(function, reference, inspect.Signature.bind, inputs)
    return function(*inputs, **reference.arguments)


def to_json(reference: Reference) -> dict[str, Any]:
    """{"function": "module:function", "arguments": {...}}, the form of a reference in `config.json`."""
    return {"function": reference.function, "arguments": reference.arguments}


def from_json(value: Any) -> Reference:
    """The reference of `to_json`'s form; ValueError for any other. Nothing is imported yet."""
    if not isinstance(value, Mapping) or not {"function"} <= set(value) <= {"function", "arguments"}:
        raise ValueError(f'{value!r} is not a reference; write {{"function": "module:function", "arguments": {{...}}}}.')
    arguments = value.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise ValueError(f"the arguments of {value['function']} are {arguments!r}; write an object with their names.")
    _split(value["function"])
    return Reference(value["function"], dict(arguments))


def _split(function: Any) -> tuple[str, str]:
    module, colon, name = function.partition(":") if isinstance(function, str) else ("", "", "")
    if not (module and colon and name):
        raise ValueError(f"{function!r} does not name a function; write it as 'module:function'.")
    return module, name


def locate(function: str) -> Callable:
    """The function or class that "module:function" names; ValueError where there is none.

    A module that was renamed since inside of its package is not missed where the package exports the function.
    """
    module_name, name = _split(function)
    name_of_script()  # so that a name of the script that runs means that script
    try:
        found = _module_with(module_name, name.partition(".")[0])
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"module {module_name} of {function} cannot be imported ({reason}); run python -m in its folder or set PYTHONPATH."
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"module {module_name} has no function {name}; check the spelling of {function}.")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{function} is a {type(found).__name__}; name a function.")
    return found


def _module_with(module_name: str, name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        package = module_name.rpartition(".")[0]
        if error.name == module_name and package and hasattr(found := importlib.import_module(package), name):
            return found
        raise


def _check_call(function: Callable, reference: Reference, bind: Callable, given: tuple = ()) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # some functions written in C have no signature; the call itself will tell
    try:
        bind(signature, *given, **reference.arguments)
    except TypeError as error:
        raise TypeError(f"{reference.function}{signature} cannot be called with {reference.arguments}: {error}.") from error


def _as_json(function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as a file would give them back, so that the first process sees what every later one will."""
    for name, value in arguments.items():
        if not _keys_are_strings(value):
            raise TypeError(f"argument {name} of {function} has keys that are not strings; use strings, as JSON does.")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            sentence = f"argument {name}={value!r} of {function} is not JSON ({error})"
            raise TypeError(
                f"{sentence}; pass numbers, strings, lists and dicts, and build the rest inside the function."
            ) from error
    return json.loads(json.dumps(arguments))


def _keys_are_strings(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _keys_are_strings(item) for key, item in value.items())
    return all(map(_keys_are_strings, value)) if isinstance(value, list | tuple) else True
