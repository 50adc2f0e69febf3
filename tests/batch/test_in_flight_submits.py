"""Each task records its own submit before it sends it."""

import pytest

from modelslab_async._batch.in_flight_submits import InFlightSubmits


async def test_task_without_a_recorded_submit_has_no_result_to_record():
    """Otherwise the result would be written to the record of another submit."""
    in_flight = InFlightSubmits(on_cut_off=print)
    with pytest.raises(RuntimeError, match="has recorded no submit"):
        in_flight.recorded()
    in_flight.enter()
    with pytest.raises(RuntimeError, match="has recorded no submit"):
        in_flight.recorded()
