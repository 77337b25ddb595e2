"""References: what can be found again is, what cannot is refused in a sentence that says what to do."""

import functools
import json
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import vae
from vae.reference import Reference, from_json, reference_to, resolve, to_json


def build(x, widths=(3,), *, name="a"):
    return x, widths, name


class Builder:
    def bound(self):
        return self

    @staticmethod
    def static(size):
        return size


def shadowed():
    return "first"


first_shadowed = shadowed


def shadowed():
    return "second"


NUMBER = 3


def test_a_module_renamed_inside_its_package_is_not_missed():
    """Runs of an earlier commit name `top_down` by a module that is called otherwise today."""
    assert vae.reference.locate("vae.models.hierarchies:top_down") is vae.models.top_down
    for name in ("vae.models.hierarchies:nothing", "vae.nowhere.hierarchies:top_down"):
        with pytest.raises(ValueError, match="cannot be imported"):
            vae.reference.locate(name)


def test_round_trip_through_json():
    reference = reference_to(build, x=1, widths=(4, 5), name="b")
    assert reference == Reference(f"{__name__}:build", {"x": 1, "widths": [4, 5], "name": "b"})
    assert from_json(json.loads(json.dumps(to_json(reference)))) == reference
    assert resolve(reference) == (1, [4, 5], "b")


def test_inputs_come_before_the_arguments():
    assert resolve(reference_to(build, name="c"), 7) == (7, (3,), "c")


def test_classes_and_static_methods_have_names():
    assert resolve(reference_to(Fraction, numerator=1, denominator=2)) == Fraction(1, 2)
    assert resolve(reference_to(Builder.static, size=2)) == 2


def test_functions_without_a_findable_name_are_refused():
    def inner():
        return 0

    with pytest.raises(ValueError, match=r"a lambda .* cannot be found again; write it as a named function"):
        reference_to(lambda: 0)
    with pytest.raises(ValueError, match=r"inner is defined inside another function; move it to the top"):
        reference_to(inner)
    with pytest.raises(ValueError, match=r"has no name of its own; write it as a function in a module"):
        reference_to(functools.partial(build, 1))
    with pytest.raises(ValueError, match=r"names something else"):
        reference_to(Builder().bound)
    with pytest.raises(ValueError, match=r"names something else"):
        reference_to(first_shadowed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.ones(2)}, r"argument x=.* is not JSON .*build the rest inside the function"),
        ({"x": float("nan")}, r"argument x=nan of .*:build is not JSON"),
        ({"x": {1: 2}}, r"argument x of .*:build has keys that are not strings"),
        ({"x": 1, "nmae": "b"}, r"build\(x, widths.*cannot be called with .*unexpected keyword argument 'nmae'"),
    ],
)
def test_arguments_that_cannot_be_written_or_taken_are_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        reference_to(build, **arguments)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("no_such_module_here:f", ValueError, r"no_such_module_here of .* cannot be imported \(ModuleNotFoundError"),
        ("json:no_such_name", ValueError, r"module json has no function no_such_name; check the spelling"),
        (f"{__name__}:NUMBER", ValueError, r"NUMBER is a int; name a function"),
        (f"{__name__}:build", TypeError, r"build.* cannot be called with .*missing a required argument: 'x'"),
        ("json.dumps", ValueError, r"'json.dumps' does not name a function; write it as 'module:function'"),
    ],
)
def test_what_is_not_there_is_named(function, error, message):
    with pytest.raises(error, match=message):
        resolve(Reference(function, {}))


def test_errors_of_the_function_itself_pass_through():
    with pytest.raises(ZeroDivisionError):
        resolve(Reference("fractions:Fraction", {"numerator": 1, "denominator": 0}))


@pytest.mark.parametrize("value", [None, "json:dumps", {"arguments": {}}, {"function": "a:b", "more": 1}])
def test_other_json_is_not_a_reference(value):
    with pytest.raises(ValueError, match="is not a reference; write"):
        from_json(value)
    with pytest.raises(ValueError, match="write an object with their names"):
        from_json({"function": "a:b", "arguments": [1]})


SCRIPT = """
import json, sys
from vae.reference import from_json, reference_to, resolve, to_json
def local(size): return ['local', size]
if __name__ == "__main__":
    print(resolve(from_json(json.loads(sys.argv[1]))))
    print(json.dumps(to_json(reference_to(local, size=4))))
"""


def in_a_fresh_process(folder, *arguments):
    """Lines that the script of the folder prints, with `vae.reference` and nothing else of the package imported."""
    light = "import sys, types; sys.modules['vae'] = p = types.ModuleType('vae'); p.__path__ = [sys.argv.pop(1)]; "
    light += "import runpy; sys.path.insert(0, ''); runpy.run_module('script', run_name='__main__', alter_sys=True)"
    package = os.path.dirname(sys.modules[resolve.__module__].__file__)
    command = [sys.executable, "-c", light, package, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_module_of_the_current_directory_and_a_function_of_the_script_in_a_fresh_process(tmp_path):
    """A function of the script that runs is named by the file of the script, so that a later process finds it."""
    (tmp_path / "mine.py").write_text("def model(size):\n    return ['mine', size]\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    first, local = in_a_fresh_process(tmp_path, json.dumps({"function": "mine:model", "arguments": {"size": 4}}))
    assert first == "['mine', 4]"
    assert json.loads(local) == {"function": "script:local", "arguments": {"size": 4}}
    assert in_a_fresh_process(tmp_path, local)[0] == "['local', 4]"
