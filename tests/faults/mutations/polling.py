"""Mutations of the poller and the engine. Applies none of them."""

from .mutation import SIMULATION, WALL_CLOCK, Mutation

MUTATIONS = [
    Mutation(
        "status of megabytes: logged as a whole",
        "_polling/status_client.py",
        "_MAX_STATUS_CHARS = 80",
        "_MAX_STATUS_CHARS = 10**9",
        "test_bytes.py",
        "status_words",
    ),
    Mutation(
        "links in a reply: followed to another host",
        "_polling/status_client.py",
        "return await self._sender.poll(self._families[ticket.family], ticket)",
        "call = self._families[ticket.family].build_poll(ticket)\n"
        "            place = getattr(self, 'place', None)\n"
        "            from attrs import evolve\n"
        "            call = evolve(call, url=place) if place else call\n"
        "            response = await self._sender.send(self._sender.build(call))\n"
        "            import re\n"
        "            found = re.search(rb'fetch_result\\W+(http[^\"]+)', response.body)\n"
        "            self.place = found and found[1].decode().replace('\\\\/', '/')\n"
        "            return response",
        "test_key.py",
        "no_fault_shows",
    ),
    Mutation(
        "stream left early: its tickets stay open",
        "_engine/outcome_stream.py",
        "        poller.unwatch_all(buffer.open_tickets, buffer)\n",
        "",
        "test_cancelling.py test_loop.py",
        "(stream_left and cancelled) or few_polls_follow",
    ),
    Mutation(
        "closed client: a fetch goes on",
        "_engine/engine.py",
        "            if not self._is_closed:\n                raise",
        "            raise",
        "test_cancelling.py",
        "fetch and closed",
    ),
    Mutation(
        "closed client: waits go on",
        "_polling/poller.py",
        "            self._complete_some()\n            await asyncio.sleep(0)",
        "            break",
        "test_cancelling.py",
        "wait and closed",
    ),
    Mutation(
        "20,000 tickets end at once: the event loop is blocked",
        "_polling/poller.py",
        "_COMPLETIONS_PER_YIELD = 256",
        "_COMPLETIONS_PER_YIELD = 10**9",
        "test_loop.py",
        "blocks_the_loop and refused",
    ),
    Mutation(
        "wall clock set: a pause after a failure",
        "_polling/poller.py",
        "            now = self._loop.time()\n            watchers",
        "            now = __import__('time').time() - 1.8e9\n            watchers",
        WALL_CLOCK,
        "no_deadline",
    ),
    Mutation(
        "wall clock set: the next poll",
        "_polling/poller.py",
        "            now = self._loop.time()\n            entry",
        "            now = __import__('time').time() - 1.8e9\n            entry",
        WALL_CLOCK,
        "no_deadline",
    ),
    Mutation(
        "wall clock set: the timeout of a stream",
        "_engine/outcome_stream.py",
        "deadline = asyncio.get_running_loop().time() + self.timeout",
        "deadline = __import__('time').time() - 1.8e9 + self.timeout",
        WALL_CLOCK,
        "no_deadline",
    ),
    Mutation(
        "soak: ended tickets stay in memory",
        "_polling/watchers.py",
        "            self.on_completed(outcome.ticket, completion)\n",
        "            self.__dict__.setdefault('ends', []).append(completion)\n",
        "test_soak.py",
    ),
    Mutation(
        "soak: received bytes stay in memory",
        "_polling/status_client.py",
        "            return await self._sender.poll(self._families[ticket.family], ticket)",
        "            response = await self._sender.poll(self._families[ticket.family], ticket)\n"
        "            self.__dict__.setdefault('kept', bytearray()).extend(response.body)\n"
        "            return response",
        "test_soak.py",
    ),
    Mutation(
        "simulation: an outcome comes twice",
        "_polling/watchers.py",
        "                watcher.notify(outcome)\n",
        "                watcher.notify(outcome)\n                watcher.notify(outcome)\n",
        SIMULATION,
    ),
    Mutation(
        "simulation: a ticket completes twice",
        "_polling/watchers.py",
        "            self.on_completed(outcome.ticket, completion)\n",
        "            if self._listeners:\n"
        "                self._listeners(Completed(outcome=outcome, polls=completion.polls, "
        "waited=completion.waited))\n",
        SIMULATION,
    ),
]
