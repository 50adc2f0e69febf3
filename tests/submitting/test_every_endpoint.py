"""Every endpoint that queues work, from its parameters to its result, through the emulator."""

import pytest

from modelslab_async import ENDPOINTS, Processing, Success
from modelslab_async.emulator import Jobs

QUEUED = [name for name, endpoint in ENDPOINTS.items() if endpoint.resolved_by]
ASKED = [name for name, endpoint in ENDPOINTS.items() if not endpoint.resolved_by]


def needed(name):
    endpoint = ENDPOINTS[name]
    return dict.fromkeys((*endpoint.required, *(group[0] for group in endpoint.any_of)), "x")


@pytest.mark.parametrize("name", QUEUED)
def test_endpoint_is_submitted_and_awaited(virtually, world, name):
    """Its parameters arrive, and its ticket is of the family of its row and ends with a result."""

    async def main():
        emulated = {"jobs": Jobs(duration=(4.0, 4.0))}
        async with world(emulated=emulated, enterprise_key="an-enterprise-key") as here:
            begun = await here.client.submit(name, **needed(name), zebras=7)
            assert isinstance(begun, Processing)
            assert ENDPOINTS[name].resolved_by == begun.ticket.family
            assert isinstance(await here.client.wait(begun.ticket), Success)
            (submitted,) = here.emulator.submits
            assert name == submitted.endpoint
            in_body = {*needed(name), "zebras"} - {*ENDPOINTS[name].path_params}
            assert in_body == in_body & {*submitted.fields}
            assert 7 == submitted.fields["zebras"]

    virtually(main)


@pytest.mark.parametrize("name", ASKED)
def test_utility_endpoint_is_asked(virtually, world, name):
    """An endpoint that starts no work is answered at once."""

    async def main():
        async with world(enterprise_key="an-enterprise-key") as here:
            path_params = dict.fromkeys(ENDPOINTS[name].path_params, "realtime")
            params = dict.fromkeys(needed(name), "data:text/plain;base64,eA==") | path_params
            assert "success" == (await here.client.ask(name, **params)).get("status", "success")

    virtually(main)


def test_json_array_is_returned_as_data(virtually, world):
    """The list of models has no object around it, and the caller gets one."""

    async def main():
        async with world() as here:
            answer = await here.client.ask("general/model_list")
            assert ["data"] == [*answer]
            assert ["flux", "midjourney"] == [model["model_id"] for model in answer["data"]]

    virtually(main)
