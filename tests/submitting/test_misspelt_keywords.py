"""A misspelt keyword of `generate` is an error, and not sent as a parameter of the endpoint."""

import pytest

from modelslab_async import ENDPOINTS, Endpoint, Submission, Success
from modelslab_async.requests import general, realtime

from .conftest import REALTIME


@pytest.mark.parametrize("name", ["timeot", "time_out", "Timeout", "tiemout"])
def test_misspelt_keyword_is_refused_before_anything_is_sent(virtually, service, name):
    """The error names the keyword and what to do."""

    async def main():
        here = service()
        async with here.client() as client:
            with pytest.raises(TypeError, match=f"expects 'timeout', got '{name}'"):
                await client.generate(REALTIME, prompt="a fox", **{name: 5})
        assert [] == here.submits

    virtually(main)


def test_parameter_of_a_user_is_no_misspelling(virtually, service):
    """A name that some endpoint of the client takes is sent, whichever endpoint is called."""

    async def main():
        own = Endpoint(
            name="own/paint",
            url="{base}/own/paint",
            resolved_by="realtime",
            optional=("timeouts", "track_id"),
        )
        here = service()
        async with here.client(endpoints=ENDPOINTS | {own.name: own}) as client:
            assert isinstance(await client.generate(own.name, timeouts=3), Success)
            assert isinstance(await client.generate(REALTIME, prompt="a fox", timeouts=3), Success)
        assert [3, 3] == [fields["timeouts"] for fields in here.submits]

    virtually(main)


def test_submission_may_carry_any_name(virtually, service):
    """It is how a parameter is sent that looks like a keyword of the method."""

    async def main():
        here = service()
        async with here.client() as client:
            await client.generate(realtime.text2img(prompt="a fox", extra={"time_out": 3}))
        assert [3] == [fields["time_out"] for fields in here.submits]

    virtually(main)


def test_ask_takes_a_submission(virtually, world):
    """The typed functions of utilities stand for their names."""

    async def main():
        async with world() as here:
            assert 0 == (await here.client.ask(general.request_count()))["processing_count"]
            with pytest.raises(TypeError, match="got seed beside it"):
                await here.client.ask(Submission("general/request_count"), seed=1)

    virtually(main)
