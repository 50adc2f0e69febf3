"""What a stranger's machine runs: `nox` does it all, `nox -s tests` only the tests."""

import os
import shutil
import sys

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests", "browser", "docs"]
nox.options.error_on_external_run = True


def _program(session: nox.Session, extras: str, path: str, *arguments: str) -> None:
    """Run a program that tests are made of, on the package as it is built."""
    _groups(session, "tests")
    session.install(f".[{extras}]")
    session.run("python", "-P", path, *(session.posargs or arguments))


def _groups(session: nox.Session, *groups: str) -> None:
    session.install(
        *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups)
    )


@nox.session
def lint(session: nox.Session) -> None:
    _groups(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    _groups(session, "types")
    session.install(".[cli,emulator,fast]")
    session.run("mypy", "-p", "modelslab_async")
    session.run("mypy", "tests/typing/api.py")
    session.run("pyright")


@nox.session
def tests(session: nox.Session) -> None:
    """Runs on the built wheel: the folder beside the tests is never on the path."""
    safe = {"PYTHONSAFEPATH": "1"}
    _groups(session, "tests")
    session.install(".[cli,emulator,fast]")
    session.run("coverage", "erase")
    # Blocks of one page build on each other, so a file's tests stay together.
    shared = ("-n", "2", "--dist", "loadfile", "-m", "not alone")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or shared), env=safe)
    if not session.posargs:
        session.run("pytest", "-m", "alone", env=safe)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def browser(session: nox.Session) -> None:
    """Drives the web app of the docs: `nox -s browser -- --screenshots` renews their pictures."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        missing = "chromedriver" if chromium else "Chromium"
        if os.environ.get("CI") and sys.platform == "linux":
            session.error(f"there is no {missing} on the path; apt-get install chromium-driver")
        session.skip(f"there is no {missing} on the path")
    _groups(session, "browser")
    session.install(".[emulator]")
    found = {"CHROMIUM": chromium, "CHROMEDRIVER": driver, "PYTHONSAFEPATH": "1"}
    session.run("pytest", "tests/browser", *session.posargs, env=found)


@nox.session
def docs(session: nox.Session) -> None:
    _groups(session, "docs")
    session.install(".[cli,emulator,fast]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def kill(session: nox.Session) -> None:
    """Kills processes in the midst of a batch: `nox -s kill -- --kills 1000 --workers 3`."""
    _program(session, "emulator", "tests/batch/kill.py")


@nox.session
def bench(session: nox.Session) -> None:
    """All rivals in one run: `nox -s bench -- --connections 64 --rounds 9 --save rivals.json`."""
    _groups(session, "bench")
    session.install(".[fast]")
    session.run("python", "tests/benchmarks/rivals.py", *session.posargs)


@nox.session
def cost(session: nox.Session) -> None:
    """What a look costs and a ticket weighs: `nox -s cost -- --open 1 1000 --save cost.json`."""
    session.install(".")
    session.run("python", "tests/benchmarks/poller_cost.py", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Plays seeded stories of faults on virtual time: `nox -s simulate -- --seeds 0:10000`."""
    _program(session, "emulator", "tests/faults/simulate.py", "--seeds", "0:300")


@nox.session
def submits(session: nox.Session) -> None:
    """Plays submits with a fault at every point: `nox -s submits -- --runs 100000`."""
    _program(session, "emulator", "tests/submitting/simulate.py")


@nox.session
def mutate(session: nox.Session) -> None:
    """Breaks the package row by row of the page of faults, and sees that tests fail."""
    _program(session, "cli,emulator", "tests/faults/mutations.py")
