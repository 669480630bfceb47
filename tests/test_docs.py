"""The pages are true: every command and option is in the README, examples run, and print what is said of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cka_cli.analysis.reliability.rules import CHECKS
from cka_cli.cli import cli
from cka_cli.specs import KERNELS, MEASURES

ROOT = Path(__file__).parent.parent
README, TRUST = (
    (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "sample_data/when_to_trust_cka.md")
)


def examples_of(page):
    """Pairs of a command and what it prints, empty when the page does not say."""
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            yield command.strip(), output


EXAMPLES = list(examples_of(README))
TRUST_EXAMPLES = list(examples_of(TRUST))
CASES = [
    *(pytest.param(*example, id=example[0]) for example in EXAMPLES),
    *(pytest.param(*example, id=example[0], marks=pytest.mark.slow) for example in TRUST_EXAMPLES),
]
COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))}
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a copy of the sample data and the files of the page on trust, where examples may write."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    made = run("python sample_data/make_troubles.py troubles", folder)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    return folder


def run(command, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CKA_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("command", "output"), CASES)
def test_examples_run_and_print_what_is_said(workplace, command, output):
    for made in re.findall(r"(?:-o|>|--plot) (\S+)", command):
        (workplace / made).unlink(missing_ok=True)
    done = run(command.partition("  #")[0], workplace)
    closed_early = "| head" in command and done.returncode == 1
    assert done.returncode == 0 or closed_early, done.stderr
    assert "Error" not in done.stderr
    if not output.strip():
        return
    assert NUMBER.sub("#", done.stdout.rstrip()) == NUMBER.sub("#", output.rstrip())
    shown, printed = ([float(number) for number in NUMBER.findall(text)] for text in (output, done.stdout))
    assert printed == pytest.approx(shown, abs=1e-6)


def test_examples_were_found():
    assert len(EXAMPLES) > 12
    assert len(TRUST_EXAMPLES) > 12
    for name in COMMANDS:
        assert any(command.startswith(f"cka {name}") for command, _ in EXAMPLES), name


def options():
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter.opts[0]


@pytest.mark.parametrize(("command", "option"), list(options()))
def test_every_option_is_in_the_readme(command, option):
    section = README.partition(f"### cka {command}\n")[2].partition("\n### ")[0]
    everywhere = README.partition("## Commands")[2].partition("### cka inspect")[0]
    assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", section + everywhere), f"cka {command} {option}"


def test_every_check_is_on_the_page_with_its_thresholds():
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \|$", TRUST, re.MULTILINE)
    words = {"above": "above ", "below": "below ", "beyond": "beyond ±"}

    def limit(check, value):
        return "" if value is None else f"{words[check.wrong]}{value:g}"

    assert rows == [
        (name, check.title, limit(check, check.look), limit(check, check.distrust)) for name, check in CHECKS.items()
    ]


@pytest.mark.parametrize("word", [*MEASURES, *KERNELS])
def test_every_measure_and_kernel_is_in_the_readme(word):
    assert f"`{word}`" in README


def test_python_blocks_compile():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        compile(block, "README.md", "exec")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_results_are_read_as_the_readme_says(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    section = README.partition("## Reading the result")[2].partition("\n## ")[0]
    with_pandas, from_python = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (workplace / "trained_and_not.csv").unlink(missing_ok=True)
    made = run(
        "cka compare sample_data/A.h5 sample_data/B.h5 sample_data/untrained.h5 -o trained_and_not.csv", workplace
    )
    assert made.returncode == 0, made.stderr
    names: dict = {}
    exec(with_pandas, names)
    assert names["best"]["conv1"] == "conv1"
    names = {}
    exec(from_python, names)
    assert names["matrix"].values.shape == (10, 10)


def test_links_lead_to_files_that_are_there():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
