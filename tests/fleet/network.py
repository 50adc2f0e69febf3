"""Hosts as network namespaces of one machine, each linked to the store and to the service."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from attrs import define

_CLONE_NEWNET = 0x40000000
_NAMESPACES = Path("/run/netns")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Move this thread into a namespace while the block runs. Sockets that it makes stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home:
        with (_NAMESPACES / namespace).open() as target:
            _enter(libc, target.fileno())
        try:
            yield
        finally:
            _enter(libc, home.fileno())


def _enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "the namespace cannot be entered")


@define
class Link:
    """The link of one host to the store or to the service, seen from the far end."""

    center: str
    host: str
    device: str
    far_address: str

    def cut(self, *, silently: bool) -> None:
        """Lose all packets. Unless it is silent, both ends see that the link is down."""
        if silently:
            for namespace in (self.center, self.host):
                self._drop(namespace, "replace")
        else:
            _ip("-n", self.center, "link", "set", self.device, "down")

    def mend(self) -> None:
        """Deliver packets again."""
        _ip("-n", self.center, "link", "set", self.device, "up")
        for namespace in (self.center, self.host):
            with suppress(subprocess.CalledProcessError):
                self._drop(namespace, "delete")

    def _drop(self, namespace: str, action: str) -> None:
        # A queue without room loses every packet.
        queue = ("pfifo", "limit", "0") if action == "replace" else ()
        subprocess.run(
            ["tc", "-n", namespace, "qdisc", action, "dev", self.device, "root", *queue],
            check=True,
            capture_output=True,
        )


@define
class Network:
    """A center, where store and service are, and hosts around it."""

    center: str
    hosts: list[str]
    to_store: list[Link]
    to_service: list[Link]

    @classmethod
    @contextmanager
    def running(cls, hosts: int) -> Iterator["Network"]:
        """Make the namespaces; skip the test where that is not allowed."""
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
            pytest.skip("network namespaces need root and the programs of iproute2")
        prefix = f"fleet{os.getpid()}"
        names = [f"{prefix}h{number}" for number in range(hosts)]
        network = cls(f"{prefix}c", names, [], [])
        try:
            try:
                _ip("netns", "add", network.center)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces cannot be made here: {error.stderr!r}")
            _ip("-n", network.center, "link", "set", "lo", "up")
            for number, name in enumerate(names):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
                network.to_store.append(network._connect(name, f"s{number}", f"10.77.{number}"))
                network.to_service.append(network._connect(name, f"w{number}", f"10.78.{number}"))
            yield network
        finally:
            for name in (network.center, *names):
                with suppress(subprocess.CalledProcessError):
                    _ip("netns", "delete", name)

    def _connect(self, host: str, device: str, subnet: str) -> Link:
        _ip(
            *("link", "add", device, "netns", self.center, "type", "veth"),
            *("peer", "name", device, "netns", host),
        )
        for namespace, address in ((self.center, f"{subnet}.1"), (host, f"{subnet}.2")):
            _ip("-n", namespace, "address", "add", f"{address}/30", "dev", device)
            _ip("-n", namespace, "link", "set", device, "up")
        return Link(self.center, host, device, f"{subnet}.1")
