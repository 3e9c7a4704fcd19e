"""Write the pins from the environment that this Python runs in, which should be one that the tests passed in.

    python -m tests.lock

constraints.txt        every package of every extra, transitive ones too: what `make` installs is bound by it
requirements.txt       the same versions, of what the page needs alone; a Space sees no other file
requirements-dev.txt   the versions of what it names
requirements-lmms.txt  the versions of what it shares with the others
README.md              sdk_version, the Gradio of a Space
pyproject.toml         an upper end that is older than what was installed is raised

What is not installed, because only another platform or a Space needs it, is resolved to its newest version
that agrees with the rest. `uv` resolves for every platform and Python at once.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A Space runs pip with requirements.txt and these together, so what is pinned has to agree with them.
SPACE = ("gradio[oauth,mcp]", "spaces", "uvicorn>=0.14.0", "websockets>=10.4")
# torch pins what it needs of CUDA by itself, on Linux only. Where a Space has to have another torch
# (docs/spaces.md), its requirements.txt would otherwise contradict it in twenty lines instead of two.
OF_TORCH = re.compile(r"nvidia-|cuda-|triton$|setuptools$")
HEADER = {
    "constraints.txt": "# Written by `make lock`: every package, transitive ones too, as the tests passed.\n"
    "# A constraint binds only what a platform needs and installs nothing by itself.\n",
    "requirements.txt": "# Written by `make lock`: all that `python app.py` needs, as it was tested.\n"
    "# A Space has no other file when pip runs, so it is complete. Left out is what torch pins itself.\n",
}


def normalised(name: str) -> str:
    """Return a package's name as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: str) -> dict[str, str]:
    """Return {normalised name: version} of a requirements file's lines that pin one version."""
    found = re.findall(
        r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s;]+)", (ROOT / path).read_text(encoding="utf-8"), re.M
    )
    return {normalised(name): version for name, version in found}


def installed() -> dict[str, str]:
    """Return {normalised name: version} of this environment, without local labels such as +cpu."""
    return {normalised(one.name): one.version.split("+")[0] for one in distributions() if one.name}


def project() -> dict:
    """Return pyproject.toml's table [project]."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def resolved(requirements: Iterable[str], bound: dict[str, str]) -> list[str]:
    """Return `name==version` lines, with markers, of everything that the requirements need on any platform.

    Raises:
        SystemExit: they contradict each other, in uv's words.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.in"
        asked.write_text("\n".join(requirements), encoding="utf-8")
        limits = Path(folder) / "constraints.txt"
        limits.write_text(
            "\n".join(f"{name}=={version}" for name, version in bound.items()), encoding="utf-8"
        )
        lowest = project()["requires-python"].removeprefix(">=")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--no-header"]
        command += ["--no-annotate", "--python-version", lowest, "--constraint", str(limits), str(asked)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"The pins contradict each other:\n{done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if "== 'emscripten'" not in line]  # Python in a browser: not with torch


def repinned(text: str, versions: dict[str, str]) -> str:
    """Return a requirements file with the version of every `name==version` line that `versions` names."""

    def pin(match: re.Match) -> str:
        version = versions.get(normalised(match["name"]), match["version"])
        return f"{match['name']}{match['extra']}=={version}"

    return re.sub(
        r"^(?P<name>[\w.-]+)(?P<extra>(?:\[[\w,]+\])?)==(?P<version>[^\s;]+)", pin, text, flags=re.M
    )


def next_minor(version: str) -> str:
    """Return the first version that the range up to and including `version`'s minor releases leaves out."""
    major, minor = version.split(".")[:2]
    return f"{major}.{int(minor) + 1}"


def raised(text: str, versions: dict[str, str]) -> str:
    """Return pyproject.toml with upper ends raised to what `versions` holds; none is lowered."""

    def reaches(match: re.Match) -> str:
        now = versions.get(normalised(match["name"]))
        if now is None or number(now) < number(match["end"]):
            return match[0]
        return f"{match[0].removesuffix(match['end'])}{next_minor(now)}"

    return re.sub(r'(?<=")(?P<name>[\w.-]+)(?:\[[\w,]+\])?>=[\d.]+,<(?P<end>[\d.]+)(?=")', reaches, text)


def number(version: str) -> tuple[int, ...]:
    """Return a version's leading numbers, for comparing."""
    return tuple(int(part) for part in re.match(r"\d+(?:\.\d+)*", version)[0].split("."))


def compare() -> None:
    """Print which installed packages differ from their pins."""
    bound = pins("constraints.txt")
    for name, version in sorted(installed().items()):
        if bound.get(name, version) != version:
            print(f"{name} {version} (pinned: {bound[name]})")


def main() -> None:
    """Resolve all requirements, then write every file."""
    table = project()
    extras = table["optional-dependencies"]
    needed = [*table["dependencies"], *(line for lines in extras.values() for line in lines)]
    dev = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    tools = [re.split(r"[=<>~ ]", line)[0] for line in dev if line and not line.startswith("#")]
    here = {name: version for name, version in installed().items() if name not in ("pip", "rediprune")}
    # Ranges say what is admitted: an upper end below what is installed is about to be raised.
    everything = resolved([*(line.split(",<")[0] for line in needed), *tools, *SPACE], here)
    versions = {normalised(line.split("==")[0]): re.split(r"==| ;", line)[1] for line in everything}
    page = [line.split(",<")[0] for line in [*table["dependencies"], *extras["app"]]]
    of_page = [line for line in resolved(page, versions) if not OF_TORCH.match(line.split("==")[0])]

    lines = "\n".join(f"{name}=={version}" for name, version in sorted(versions.items()))
    write("constraints.txt", f"{HEADER['constraints.txt']}{lines}\n")
    write("requirements.txt", HEADER["requirements.txt"] + "\n".join(of_page) + "\n")
    for name in ("requirements-dev.txt", "requirements-lmms.txt"):
        write(name, repinned(read(name), versions))
    write("pyproject.toml", raised(read("pyproject.toml"), versions))
    write("README.md", re.sub(r"(?<=\nsdk_version: )\S+", versions["gradio"], read("README.md"), count=1))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def write(name: str, text: str) -> None:
    if not (ROOT / name).exists() or read(name) != text:
        (ROOT / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"written: {name}")


if __name__ == "__main__":
    compare() if "--compare" in sys.argv[1:] else main()
