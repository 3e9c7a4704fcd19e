"""Run the tests with other versions than the pinned ones: `make compat` and `make newest`.

    make compat                                              every row of VERSIONS, with the Python of .venv
    make compat ARGS="--python 3.13 -- tests/rediprune/pruning"  some tests, with another Python
    make compat ARGS="-k lowest"                             one row
    make newest                                              the newest of everything, whatever the ranges say

Environments stay in .nox/ and are used again; `make compat ARGS=--reuse-venv=no` makes them anew.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")
# What is asked for instead of the pin, and which packages' pins give way to it. The ranges of pyproject.toml
# begin at the lowest and end at the highest of these and of the pins.
WITH_TRANSFORMERS = r"transformers|tokenizers|huggingface-hub"
WITH_TORCH = r"torch|torchvision|triton|setuptools|nvidia-.*|cuda-.*"
VERSIONS = {
    "lowest": (("transformers==5.20.0",), WITH_TRANSFORMERS),
    "before": (("transformers==5.23.0",), WITH_TRANSFORMERS),
    "pinned": ((), r"$."),
    "torch": (("torch==2.11.0", "torchvision==0.26.0"), WITH_TORCH),
}
# Faults of a version itself, which no code of ours can mend: tests of these names are left out there.
UPSTREAM = {
    "lowest": (
        # VipLlava.get_image_features, before 5.23: "tuple index out of range" in an unpruned generate.
        "VipLLaVA",
        # LlavaNextVideo with clips: "torch.cat(): expected a non-empty list" in an unpruned generate.
        "LLaVA-NeXT-Video-video",
        "test_image_and_clip_in_one_prompt_are_identical_at_100",
        # No fault: FutureWarnings are no errors there (see below), and these tests ask that they are.
        "test_a_deprecated_call_of_ours_is_an_error",
    ),
}

BY_DEFAULT = "not slow and not gpu and not weights and not lmms"  # as in pyproject.toml

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.pythons = [f"{sys.version_info.major}.{sys.version_info.minor}"]


@nox.session(python=PYTHONS)
@nox.parametrize("versions", list(VERSIONS), ids=list(VERSIONS))
def compat(session: nox.Session, versions: str) -> None:
    """Run the tests, or what stands behind `--`, with one version changed and all others as pinned."""
    asked, moved = VERSIONS[versions]
    folder = Path(session.create_tmp())
    for name in ("constraints.txt", "requirements.txt", "requirements-dev.txt"):
        pins = Path(name).read_text(encoding="utf-8")
        (folder / name).write_text(re.sub(rf"^({moved})==.*\n", "", pins, flags=re.M), encoding="utf-8")
    files = ("-r", str(folder / "requirements.txt"), "-r", str(folder / "requirements-dev.txt"))
    session.install("-c", str(folder / "constraints.txt"), *files, *asked)
    left_out = UPSTREAM.get(versions, ())
    chosen = ("-k", f"not ({' or '.join(left_out)})") if left_out else ()
    marked = ("-m", "not pinned and " + BY_DEFAULT) if asked else ()
    # An old version warns of names that its own processors still use.
    if versions == "lowest":
        marked += ("-W", "default::FutureWarning")
    session.run("python", "-m", "pytest", *marked, *chosen, *session.posargs)


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """Install the newest of everything, run the tests, and say in one screen what is newer and what broke."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["app"]]
    wanted += re.findall(
        r"^[\w.-]+(?:\[[\w,]+\])?", Path("requirements-dev.txt").read_text(encoding="utf-8"), re.M
    )
    names = [re.split(r"[<>=~ ]", line)[0] for line in wanted]
    session.install("--upgrade", *names)
    newer = session.run("python", "-m", "tests.lock", "--compare", silent=True)
    marked = ("-m", "not pinned and " + BY_DEFAULT)
    command = ("python", "-m", "pytest", "-q", "--tb=no", "-rfE", *marked, *session.posargs)
    done = session.run(*command, silent=True, success_codes=[0, 1], env={"COLUMNS": "200"})
    session.log(f"Newer than the pins:\n{newer}")
    session.log(one_screen(done))
    if re.search(r"^(FAILED|ERROR) ", done, re.M):
        session.error("The newest versions break something.")


def one_screen(output: str) -> str:
    """Return what pytest's summary says, failures with the same reason on one line, the commonest first."""
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*?\])?(?: - (.*))?$", output, re.M)
    reasons = Counter(reason for _, reason in failed)
    lines = []
    for reason, count in reasons.most_common(15):
        tests = list(dict.fromkeys(test for test, why in failed if why == reason))
        more = f" and {len(tests) - 2} more tests" if len(tests) > 2 else ""
        lines.append(f"{count:5} x {reason or 'no reason given'}\n        in {', '.join(tests[:2])}{more}")
    if len(reasons) > 15:
        lines.append(f"      and {len(reasons) - 15} other reasons")
    return "\n".join([*lines, output.strip().splitlines()[-1]])
