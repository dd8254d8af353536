"""Installs a peer into an environment of its own, and runs it there.

    python experiments/peers/run.py install cellflow --where runs/peers/environments
    python experiments/peers/run.py run cellflow --where runs/peers/environments \
        --folder runs/peers/norman --out runs/peers/cellflow --iterations 1000

Options that are not named here are the peer's own: `run NAME ... --help` lists them. README.md has
the contract and what each peer needs.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

import contract

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Peer:
    """What an environment needs beside the pins of `requirements.txt`."""

    python: str
    """The version of Python that the pins are of."""
    first: tuple[str, ...] = ()
    """Distributions among the pins that are installed before the others, which build with them."""


PEERS = {
    "cellflow": Peer("3.11"),
    "state": Peer("3.11"),
    "gears": Peer("3.11"),
    "scgpt": Peer("3.10"),
    "celloracle": Peer("3.10", first=("numpy", "cython", "setuptools", "wheel")),
    "perturbench": Peer("3.11"),
    "graphvci": Peer("3.11"),
}


def pins(path: pathlib.Path) -> dict[str, str]:
    """Versions by distribution; refuses a line that is no `name==version`."""
    if not path.exists():
        raise ValueError(f"{path} is missing: every peer's folder has its pins.")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("==") for line in lines if line and not line.startswith("#")]
    wrong = [name for name, equals, version in pairs if not (name and equals and version)]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]!r} is no pin. Write name==version.")
    return {name: version for name, _, version in pairs}


def interpreter(version: str) -> str:
    """A Python of that version: this one, or one on the PATH that starts."""
    if version == "{}.{}".format(*sys.version_info[:2]):
        return sys.executable
    found = shutil.which(f"python{version}")
    # A version manager's stand-in is on the PATH even where it has nothing to start.
    if found and not subprocess.run([found, "--version"], capture_output=True).returncode:
        return found
    raise ValueError(
        f"python{version} is not on the PATH, or does not start. Install Python {version}, whose "
        "wheels this peer's pins are, or put its folder on the PATH."
    )


def uv() -> list[str] | None:
    """The command that starts uv, where there is one: much faster than pip."""
    if shutil.which("uv"):
        return ["uv"]
    module = [sys.executable, "-m", "uv"]
    there = subprocess.run([*module, "--version"], capture_output=True).returncode == 0
    return module if there else None


def installing(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables for uv: where pip looks, there it looks too."""
    asked = {"UV_FIND_LINKS": "PIP_FIND_LINKS", "UV_DEFAULT_INDEX": "PIP_INDEX_URL"}
    told = {ours: environment[pips] for ours, pips in asked.items() if pips in environment}
    return {**told, **environment}


def python_of(where: pathlib.Path, name: str) -> pathlib.Path:
    """The Python of a peer's environment."""
    return where / name / "bin" / "python"


def steps(peer: Peer, folder: pathlib.Path, home: pathlib.Path) -> list[list[str]]:
    """The commands that make an environment, one after the other.

    The pins are a whole environment: nothing is resolved, so that a package whose own bounds are
    too narrow installs. torch alone brings what its build needs.
    """
    versions = pins(folder / "requirements.txt")
    fast, python = uv(), str(home / "bin" / "python")
    start = interpreter(peer.python)
    if fast:
        make = [*fast, "venv", "--quiet", "--python", start, str(home)]
        install = [*fast, "pip", "install", "--quiet", "--python", python]
    else:
        make = [start, "-m", "venv", str(home)]
        install = [python, "-m", "pip", "install", "--quiet"]
    early = [name for name in (*peer.first, "torch") if name in versions]
    isolated = ["--no-build-isolation"] if peer.first else []
    commands = [make]
    if early:
        commands.append([*install, *(f"{name}=={versions[name]}" for name in early)])
    listed = ["--requirement", str(folder / "requirements.txt")]
    return [*commands, [*install, "--no-deps", *isolated, *listed]]


def install(name: str, where: pathlib.Path, *, peers: pathlib.Path = HERE) -> None:
    """Makes the environment of a peer; an unfinished one does not stay."""
    home = where / name
    if home.exists():
        raise ValueError(f"{home} is there already. Remove it to install {name} again.")
    where.mkdir(parents=True, exist_ok=True)
    try:
        for command in steps(PEERS[name], peers / name, home):
            subprocess.run(command, check=True, env=installing(os.environ))
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    print(f"{name} is installed in {home}")


def run(
    name: str,
    where: pathlib.Path,
    folder: pathlib.Path,
    out: pathlib.Path,
    options: Sequence[str] = (),
    *,
    peers: pathlib.Path = HERE,
) -> dict[str, object]:
    """Runs a peer and checks what it wrote; returns what `result.json` says.

    **Raises:** a ValueError for an environment that is not there, and for a prediction that
    `contract.check_prediction` refuses or that does not say what was trained on; a
    CalledProcessError if the peer fails, which has said why.
    """
    python = python_of(where, name)
    if not python.exists():
        raise ValueError(
            f"{python} is missing. Install first: run.py install {name} --where {where}"
        )
    given = contract.Folder(folder.resolve(), out.resolve())
    _ = given.train, given.controls, given.test  # what is wrong with them is said before it starts
    script = [str(python), str(peers / name / "peer.py")]
    written = out / "pred.h5ad"
    written.unlink(missing_ok=True)
    paths = ["--folder", str(given.path), "--out", str(given.out)]
    subprocess.run([*script, *paths, *options], check=True)
    return check(given)


def check(folder: contract.Folder) -> dict[str, object]:
    """Checks a prediction as it lies on the disk, and what the peer says that it trained on."""
    path = folder.out / "pred.h5ad"
    cells = contract.read_cells(path)
    contract.check_prediction(cells, folder.genes, folder.test)
    said = json.loads(str(cells.uns.get("peer", "{}")))
    if not said.get("trained_on"):
        raise ValueError(f"{path} does not say what its peer was trained on.")
    folder.refuse_leak(said["trained_on"])
    return said


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line; ends with one line where something is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("install", "run"):
        one = commands.add_parser(command)
        one.add_argument("name", choices=PEERS)
        one.add_argument(
            "--where", type=pathlib.Path, default=pathlib.Path("runs/peers/environments")
        )
        if command == "run":
            one.add_argument("--folder", type=pathlib.Path, required=True, help="from export.py")
            one.add_argument("--out", type=pathlib.Path, required=True, help="for pred.h5ad")
    given, options = parser.parse_known_args(arguments)
    try:
        if given.command == "install":
            if options:
                parser.error(f"unknown options: {' '.join(options)}")
            install(given.name, given.where)
        else:
            said = run(given.name, given.where, given.folder, given.out, options)
            print(
                json.dumps({k: said[k] for k in ("peer", "version", "seconds", "peak_memory_gb")})
            )
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{given.name} stopped, status {error.returncode}: see above.") from error
    except ValueError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
