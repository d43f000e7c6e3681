"""Which engine answers: both have to be there where releases are made."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from dnslb.server import engine


def test_the_extension_answers_where_it_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever builds releases must have it: a build that fails leaves it out, and says nothing."""
    monkeypatch.delenv(engine.PURE, raising=False)
    found = engine.extension()
    assert engine.describe().startswith("C extension" if found else "Python (no C extension: ")
    assert found or os.environ.get("DNSLB_REQUIRE_PEERS") != "1"


def test_python_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an environment variable, for who does not trust the other."""
    monkeypatch.setenv(engine.PURE, "1")
    assert engine.extension() is None
    assert engine.describe() == "Python (DNSLB_PURE is set)"


def test_python_answers_where_there_was_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reason is told."""
    monkeypatch.delenv(engine.PURE, raising=False)
    monkeypatch.setitem(sys.modules, "dnslb.server._batch", None)
    assert engine.extension() is None
    assert engine.describe().startswith("Python (no C extension: ")


def test_an_extension_of_another_version_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take one argument for another, and answer wrongly or nothing."""
    monkeypatch.delenv(engine.PURE, raising=False)
    built = engine.extension()
    monkeypatch.setattr(engine, "AGREED", 0)
    assert engine.extension() is None
    assert not built or engine.describe() == "Python (the C extension is of another version: install dnslb again)"


def test_it_is_compiled_without_a_warning(tmp_path: Path) -> None:
    """As on the machines of those who install it; what a compiler warns of there, nobody reads."""
    include = sysconfig.get_path("include")
    compiler = shutil.which("gcc")
    if not compiler or not Path(include, "Python.h").exists():
        assert os.environ.get("DNSLB_REQUIRE_PEERS") != "1"
        pytest.skip("there is no compiler, or it lacks Python's headers")
    source = Path(engine.__file__).with_name("_batch.c")
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
    command = [compiler, "-c", "-O2", *warnings, "-DPy_LIMITED_API=0x030B0000", f"-I{include}", str(source)]
    subprocess.run([*command, "-o", str(tmp_path / "_batch.o")], check=True)
