"""One run: servers started, scenarios in interleaved rounds, then latency, idle streams and the start."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.fakes.databases import STORES, made

from bench import publish, streams, swap
from bench.client import Client
from bench.load import CONNECTIONS, Load, Measure, run
from bench.machine import describe, share_out
from bench.messages import modern
from bench.processes import free_port
from bench.profile import profile
from bench.report import SATURATED, Report, Row
from bench.scenarios import (
    COMBINED_LIST,
    COSTS,
    KEPT_LIST,
    MCP,
    REFERENCE,
    SCENARIOS,
    Scenario,
    modern_call,
)
from bench.servers import Server, Servers

DISTURBED = 0.03
SINGLES = ("latency", *streams.KINDS, "swap", "publish", "start")
READY = modern(MCP, "tools/list", {})


@dataclass(frozen=True)
class Plan:
    """`only` names scenarios; empty for all of them."""

    rounds: int
    seconds: float
    streams: int
    only: frozenset[str]

    def has(self, name: str) -> bool:
        return not self.only or name in self.only


class Run:
    def __init__(self, plan: Plan, directory: Path) -> None:
        self._plan = plan
        self._directory = directory
        self._cores = share_out()
        self._servers = Servers(directory)
        self._report = Report(describe(), [])
        if not self._cores.meaningful:
            self._warn("One core only: servers and load take it from each other, and the figures mean nothing.")

    def __enter__(self) -> Run:
        os.sched_setaffinity(0, {int(self._cores.load)})
        self._servers.__enter__()
        self._upstream = self._servers.upstream(self._cores.upstream)
        return self

    def __exit__(self, *reason: object) -> None:
        self._servers.__exit__(*reason)

    def measure(self) -> Report:
        scenarios = self._chosen()
        started: dict[str, Server] = {}
        if scenarios or self._plan.has("latency"):
            names = dict.fromkeys(scenario.server for scenario in scenarios)
            wanted = {"nginx", *names, *(["gateway"] if self._plan.has("latency") else [])}
            started = {name: self._start(name) for name in sorted(wanted)}
        if scenarios:
            self._rounds(scenarios, started)
        if self._plan.has("latency"):
            self._latency(started)
        for server in started.values():
            self._servers.end(server)
        for kind in streams.KINDS:
            if self._plan.has(kind):
                self._streams(kind)
        if self._plan.has("swap"):
            self._swap()
        if self._plan.has("publish"):
            for kind in STORES:
                self._publish(kind)
        if self._plan.has("start"):
            self._start_time()
        return self._report

    def profile(self) -> None:
        """Print where the time goes in the chosen scenario, rest-modern without a choice."""
        name = next(iter(self._plan.only), "rest-modern")
        scenario = next(one for one in SCENARIOS if one.name == name)
        found = profile(scenario.load(self._start(scenario.server)), self._cores.load, 10, self._directory)
        for what, title in (("own", "in the function itself"), ("within", "in it and what it calls")):
            print(f"\n{scenario.title}: share of the samples {title}")
            for frame, share in found[what]:
                print(f"{share:7.1%}  {frame}")

    def _chosen(self) -> list[Scenario]:
        chosen = [scenario for scenario in SCENARIOS if self._plan.has(scenario.name)]
        if self._cores.two_servers is None and any(scenario.server == "workers" for scenario in chosen):
            self._warn("Two workers are not measured: that takes four cores, two of them for the load.")
            chosen = [scenario for scenario in chosen if scenario.server != "workers"]
        needed = {scenario.name for scenario in chosen} | {scenario.beside for scenario in chosen}
        return [scenario for scenario in SCENARIOS if scenario.name in needed | ({REFERENCE} if chosen else set())]

    def _start(self, name: str) -> Server:
        if name == "nginx":
            return self._servers.proxy(self._cores.server, self._upstream)
        if name == "fastmcp":
            server = self._servers.fastmcp(self._cores.server, self._upstream)
        elif name == "workers":
            cores = self._cores.two_servers or self._cores.server
            server = self._servers.gateway(cores, self._upstream, workers=2, name=name)
        elif name == "relay":
            server = self._servers.relay(self._cores.server, self._cores.upstream)
            server.wait(modern("/relay-http/mcp", "tools/list", {}))
            self._servers.keep(KEPT_LIST, Client(server.port).ask(COMBINED_LIST).body)
            return server
        else:
            server = self._servers.gateway(self._cores.server, self._upstream, name=name)
        server.wait(READY)
        return server

    def _rounds(self, scenarios: list[Scenario], started: dict[str, Server]) -> None:
        rows = {scenario.name: Row(scenario.name, scenario.title) for scenario in scenarios}
        self._report.rows = list(rows.values())
        loads = {scenario.name: scenario.load(started[scenario.server]) for scenario in scenarios}
        for number in range(self._plan.rounds):
            for name, load in loads.items():
                found = self._load(load)
                rows[name].rounds.append(found)
                print(f"round {number + 1}  {name:12} {found.rate:9,.0f} calls/s {found.cpu:8.1f} µs", flush=True)
                if not found.clean:
                    wrong = f"{found.refused} refused, {found.broken} broken, {found.wrong} wrong answers"
                    self._warn(f"{name}: {wrong} {found.example}")
        for scenario in scenarios:
            rows[scenario.name].reference = rows[scenario.beside].rounds
        for name, plainer in COSTS.items():
            if name in rows and plainer in rows:
                costs = rows[name].cpu_against(rows[plainer])
                self._say(f"CPU time of “{rows[name].title}” against “{rows[plainer].title}”", costs, "×")
        reference = rows[REFERENCE].rounds
        waited = median(one.waited for row in rows.values() for one in row.rounds)
        if waited > DISTURBED:
            self._warn(f"Other work had the server's core for {waited:.0%} of the time: compare by CPU.")
        if median(one.busy + one.waited for one in reference) < SATURATED:
            self._warn("The load did not keep nginx busy: compare by CPU.")

    def _load(self, load: Load, pause: float = 0) -> Measure:
        return run(load, self._cores.load, self._plan.seconds, self._directory, pause)

    def _latency(self, started: dict[str, Server]) -> None:
        """What the gateway adds at half of its own most, against nginx at the same rate."""
        by_name = {scenario.name: scenario for scenario in SCENARIOS}
        proxy, gateway = (by_name[name].load(started[by_name[name].server]) for name in (REFERENCE, "rest-modern"))
        most = self._load(gateway).rate
        pause = 1000 * CONNECTIONS / (most / 2)
        # A connection also waits for its answer and for wrk's timers, so a first try tells how long the pause must be.
        pause *= self._load(gateway, pause).rate / (most / 2)
        pairs = [(self._load(proxy, pause), self._load(gateway, pause)) for _ in range(self._plan.rounds)]
        rate = median(mine.rate for _, mine in pairs)
        self._say("rate at which latency was measured", rate, "calls/s")
        self._say("share of the gateway's most", 100 * rate / most, "%")
        self._say("added latency, median", median(mine.p50 - theirs.p50 for theirs, mine in pairs), "ms")
        self._say("added latency, 99th percentile", median(mine.p99 - theirs.p99 for theirs, mine in pairs), "ms")
        self._say("latency of the gateway, 99th percentile", median(mine.p99 for _, mine in pairs), "ms")

    def _streams(self, kind: str) -> None:
        server = self._servers.gateway(self._cores.server, self._upstream, name=kind)
        server.wait(READY)
        found = streams.measure(server, kind, self._plan.streams)
        self._servers.end(server)
        self._say(f"{self._plan.streams:,} idle streams, {streams.KINDS[kind][0]}", found["bytes"] / 1024, "KiB each")

    def _swap(self) -> None:
        documents = self._directory / "swap-documents"
        documents.mkdir()
        swap.write(documents, 1)
        server = self._servers.gateway(self._cores.server, self._upstream, name="swap")
        server.wait(READY)
        found = swap.measure(server, documents)
        self._servers.end(server)
        what = f"swap of {swap.DOCUMENTS:,} documents of {swap.TOOLS} tools"
        self._say(f"{what}, from the signal until they are served", found["taken"], "s")
        self._say(f"{what}, longest call meanwhile", 1000 * found["longest"], "ms")
        self._say("longest call without a swap", 1000 * found["calm"], "ms")
        self._say(f"{what}, memory before", found["before"] / 2**20, "MiB")
        self._say(f"{what}, memory after", found["after"] / 2**20, "MiB")

    def _publish(self, kind: str) -> None:
        directory = self._directory / f"publish-{kind}"
        directory.mkdir()
        with ExitStack() as stack:
            try:
                url = stack.enter_context(made(kind, directory)).url
            except AssertionError as error:
                self._warn(f"Publishing to {kind} is not measured: {error}")
                return
            asyncio.run(publish.fill(url))
            admin = free_port()
            settings = ["--admin-token", publish.TOKEN, "--poll", str(publish.POLL), "--copy", str(directory / "copy")]
            server = self._servers.on_store(f"publish-{kind}", url, self._cores.server, admin, *settings)
            found = asyncio.run(publish.measure(server, url, admin, self._upstream.port))
            self._servers.end(server)
        what = f"{kind}, {publish.DOCUMENTS:,} documents of {swap.TOOLS} tools"
        self._say(f"{what}: start to the first answered call", found["start"], "s")
        self._say(f"{what}: from a change to a call that sees it, announced", found["told"], "s")
        self._say(f"{what}: the same when nobody tells, with --poll {publish.POLL}", found["looked"], "s")
        self._say(f"{what}: memory afterwards", found["memory"] / 2**20, "MiB")

    def _start_time(self) -> None:
        """From the command to the first answered tool call."""
        times, memory = [], []
        for number in range(self._plan.rounds):
            server = self._servers.gateway(self._cores.server, self._upstream, name=f"start-{number}")
            times.append(server.wait(modern_call(server)))
            memory.append(server.process.memory() / 2**20)
            self._servers.end(server)
        self._say("start to the first answered call, median", median(times), "s")
        self._say("start to the first answered call, slowest", max(times), "s")
        self._say("memory after the start", median(memory), "MiB")

    def _say(self, title: str, value: float, unit: str) -> None:
        self._report.single.append((title, value, unit))
        print(f"{title}: {value:,.2f} {unit}", flush=True)

    def _warn(self, text: str) -> None:
        if text not in self._report.warnings:
            self._report.warnings.append(text)
            print(f"! {text}", flush=True)
