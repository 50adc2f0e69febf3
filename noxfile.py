"""The checks of the project. `nox` runs the everyday ones, `nox -s thorough` the long ones."""

import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
# uv installs in two seconds what takes pip half a minute.
nox.options.default_venv_backend = "uv|venv"
nox.options.download_python = "never"
nox.options.sessions = ["lint", "types", "tests", "browser", "docs"]
nox.options.error_on_external_run = True

PROJECT = nox.project.load_toml("pyproject.toml")
# The tests run on the built wheel: the folder beside them is never on the path. pytest keeps the
# modules whose assertions it rewrote as bytecode, which saves each worker half of its start.
ON_WHEEL = {"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": ""}
# Most of the time of the tests is waiting for sockets and processes, hence more workers than cores.
# Blocks of one page build on each other, so the tests of one file stay together. The files keep the
# order that conftest.py gives them.
IN_PARALLEL = ("-n", "6", "--dist", "loadfile", "--no-loadscope-reorder")
# pip compiles what it installs, and uv only if it is asked to. The tests start many processes.
COMPILED = {"UV_COMPILE_BYTECODE": "1"}

# Clients that `nox -s foreign` runs against the emulator.
FOREIGN_PACKAGES = {
    "modelslab-py": ("modelslab-py==0.2.3", "requests"),
    "modelslab-cli": ("modelslab-cli==0.2.2",),
    "agno": ("agno==3.1.10", "requests"),
}
PROMPTFOO = "promptfoo@0.123.1"


def _install_groups(session: nox.Session, *groups: str) -> None:
    session.install(*nox.project.dependency_groups(PROJECT, *groups))


def _install_tests(
    session: nox.Session, *groups: str, extras: str = "cli,emulator,fast,postgres"
) -> None:
    """Install what the tests need, and the built package."""
    requirements = nox.project.dependency_groups(PROJECT, "tests", *groups)
    session.install(*requirements, f".[{extras}]", env=COMPILED)


def _run_program(session: nox.Session, extras: str, path: str, *arguments: str) -> None:
    """Run a test program on the built package; arguments after `--` replace its defaults."""
    _install_tests(session, extras=extras)
    session.run("python", "-P", path, *(session.posargs or arguments))


def _run_tests(session: nox.Session, *arguments: str) -> None:
    everyday = ("-m", "not thorough", *IN_PARALLEL)
    session.run("pytest", *arguments, *(session.posargs or everyday), env=ON_WHEEL)


@nox.session
def lint(session: nox.Session) -> None:
    _install_groups(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    _install_groups(session, "types")
    session.install(".[cli,emulator,fast,postgres]")
    with ThreadPoolExecutor() as pool:
        by_pyright = pool.submit(session.run, "pyright")
        session.run("mypy", "-p", "modelslab_async")
        session.run("mypy", "tests/typing/api.py", "tests/typing/wrong_calls.py", "tools")
        by_pyright.result()


@nox.session
def tests(session: nox.Session) -> None:
    """The everyday suite on the built wheel, without coverage."""
    _install_tests(session)
    _run_tests(session)


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def pythons(session: nox.Session) -> None:
    """The everyday suite on every Python that is installed; nox names those that are missing."""
    _install_tests(session)
    _run_tests(session)


@nox.session
def oldest(session: nox.Session) -> None:
    """The everyday suite with the lowest versions that pyproject.toml allows."""
    extras = PROJECT["project"]["optional-dependencies"]
    allowed = [*PROJECT["project"]["dependencies"], *extras["cli"], *extras["emulator"]]
    # The SDK of OpenTelemetry demands its own version of the API.
    allowed += [*extras["dask"], *extras["fast"], *extras["parquet"], *extras["postgres"]]
    allowed += [*extras["otel"], "opentelemetry-sdk>=1.30"]
    _install_tests(session, extras="cli,dask,emulator,fast,otel,parquet,postgres")
    lowest = (re.sub(r">=", "==", requirement) for requirement in allowed)
    session.install(*lowest, env=COMPILED)
    # The web app of the docs uses newer features of starlette.
    _run_tests(session, "tests", "--ignore=tests/docs")


@nox.session
def thorough(session: nox.Session) -> None:
    """What takes long by nature: coverage, simulations, kills, mutations, fuzzing, ratios."""
    _install_tests(session, "fuzz")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-m", "not thorough", *IN_PARALLEL, env=ON_WHEEL)
    session.run("coverage", "combine")
    session.run("coverage", "report")
    session.run("pytest", "-m", "thorough", env=ON_WHEEL)
    session.notify("foreign")


@nox.session
def foreign(session: nox.Session) -> None:
    """Published clients of the service against the emulator, each in a folder of its own."""
    _install_tests(session, extras="emulator")
    folder = Path(session.create_tmp(), "clients").absolute()
    for name, requirements in FOREIGN_PACKAGES.items():
        session.run("python", "-m", "venv", str(folder / name))
        _try_to_install(session, name, str(folder / name / "bin/pip"), "install", *requirements)
    if shutil.which("npm"):
        npm = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional")
        _try_to_install(
            session, "promptfoo", *npm, "--prefix", str(folder / "promptfoo"), PROMPTFOO
        )
    else:
        session.warn("there is no npm on the path, so promptfoo is not tested")
    found = {"FOREIGN_CLIENTS": str(folder), **ON_WHEEL}
    session.run("pytest", "tests/foreign", *session.posargs, env=found)


def _try_to_install(session: nox.Session, name: str, *command: str) -> None:
    """Install a client. Without a network its test is skipped, and the others run."""
    try:
        session.run(*command, external=True, silent=True)
    except nox.command.CommandFailed:
        session.warn(f"{name} could not be installed, so it is not tested")


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
        session.skip(
            f"there is no {missing} on the path; on Debian: apt-get install chromium-driver"
        )
    _install_groups(session, "browser")
    session.install(".[emulator]")
    found = {"CHROMIUM": chromium, "CHROMEDRIVER": driver, **ON_WHEEL}
    session.run("pytest", "tests/browser", "-n", "2", *session.posargs, env=found)


@nox.session
def docs(session: nox.Session) -> None:
    _install_groups(session, "docs")
    session.install(".[cli,dask,emulator,fast,otel]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def package(session: nox.Session) -> None:
    """Builds the distributions, checks them and lists what they depend on in build/sbom.json."""
    _install_groups(session, "package")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", "dist")
    wheel, *rest = sorted(
        map(str, Path("dist").iterdir()), key=lambda name: not name.endswith("whl")
    )
    session.run("twine", "check", "--strict", wheel, *rest)
    session.run("check-wheel-contents", wheel)
    session.install(wheel)
    Path("build").mkdir(exist_ok=True)
    session.run("cyclonedx-py", "environment", "--output-file", "build/sbom.json")


@nox.session
def kill(session: nox.Session) -> None:
    """Kills processes in the midst of a batch: `nox -s kill -- --kills 1000 --postgres`."""
    _run_program(session, "emulator", "tests/batch/kill.py")


@nox.session
def fleet(session: nox.Session) -> None:
    """Hosts as network namespaces that share an account: `nox -s fleet -- --rounds 9 --seed 1`."""
    _install_groups(session, "tests")
    session.install(".[emulator,postgres]")
    options = ("-s", "--timeout", "3600", *session.posargs)
    session.run("pytest", "tests/fleet", *options, env=ON_WHEEL)


@nox.session
def bench(session: nox.Session) -> None:
    """All rivals in one run: `nox -s bench -- --rounds 5 --save performance.json`."""
    _install_groups(session, "bench")
    session.install(".[fast]")
    other = _bench_environment(session, "3.13")
    session.run("python", "tests/benchmarks/record.py", *other, *session.posargs)


def _bench_environment(session: nox.Session, version: str) -> list[str]:
    """Install what is measured for another Python. Return its option; none without that Python."""
    folder = Path(session.create_tmp(), version).absolute()
    wanted = [*nox.project.dependency_groups(PROJECT, "bench"), ".[fast]"]
    try:
        session.run(f"python{version}", "-m", "venv", str(folder), external=True, silent=True)
    except nox.command.CommandFailed:
        session.warn(f"there is no Python {version}, so it is not measured")
        return []
    session.run(str(folder / "bin/pip"), "install", "--quiet", *wanted, external=True)
    return ["--python", f"{version}={folder}/bin/python"]


@nox.session
def cost(session: nox.Session) -> None:
    """What a poll costs and a ticket weighs: `nox -s cost -- --open 1 1000 --save cost.json`."""
    session.install(".")
    session.run("python", "tests/benchmarks/poller_cost.py", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Runs seeded scenarios with faults on virtual time: `nox -s simulate -- --seeds 0:10000`."""
    _run_program(session, "emulator", "tests/faults/simulate.py", "--seeds", "0:300")


@nox.session
def submits(session: nox.Session) -> None:
    """Plays submits with a fault at every point: `nox -s submits -- --runs 100000`."""
    _run_program(session, "emulator", "tests/submitting/simulate.py")


@nox.session
def mutate(session: nox.Session) -> None:
    """Breaks the package in one place after another, and checks that tests fail."""
    _run_program(session, "cli,emulator", "tests/faults/mutate.py")


@nox.session
def mutants(session: nox.Session) -> None:
    """Changes one small thing after another: `nox -s mutants -- --sample 0` tries every change."""
    _run_program(session, "cli,emulator", "tests/mutants/mutate_layers.py")
