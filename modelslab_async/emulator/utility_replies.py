"""Makes the documented replies of endpoints that make no ticket."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from modelslab_async._registry.endpoint import Endpoint

from .job_intake import JobIntake
from .reply_bodies import URLBuilder
from .served_endpoints import family_name_of

_SUCCESS = {"status": "success"}
# These replies are copied from the service's documentation of each endpoint.
_CONSTANT_REPLIES: Mapping[str, dict[str, Any] | list[dict[str, Any]]] = {
    "wallet_balance": {**_SUCCESS, "data": {"balance": 43.6, "currency": "USD"}},
    "clear_queue": {**_SUCCESS, "message": "Queue cleared, server is restarting"},
    "voice_list": {
        **_SUCCESS,
        "voices": [{"voice_id": "madison", "name": "Madison", "language": "english"}],
    },
    "voice_upload": {**_SUCCESS, "message": "Voice uploaded successfully", "voice_id": "madison"},
    "model_list": [
        {"model_id": "flux", "status": "model_ready", "model_name": "Flux"},
        {"model_id": "midjourney", "status": "model_ready", "model_name": "MidJourney V4"},
    ],
}


@frozen(kw_only=True)
class UtilityReplies:
    """
    Makes the replies of endpoints that make no ticket.

    Args:
        intake: Makes a job for each upload, and counts the queued jobs of each API key.
    """

    intake: JobIntake

    def body(
        self, endpoint: Endpoint, fields: Mapping[str, Any], key: str, urls: URLBuilder, now: float
    ) -> object:
        """Return the body of the reply to a request whose parameters have already been checked."""
        match endpoint.name.partition("/")[2]:
            case "request_count":
                count = self.intake.job_store.queued_count(key, now)
                return {**_SUCCESS, "processing_count": count}
            case "base64_to_url":
                id_, links = self._upload(endpoint, urls, now)
                return {**_SUCCESS, "id": id_, "output": links}
            case "base64_crop":
                id_, links = self._upload(endpoint, urls, now)
                return {**_SUCCESS, "messege": "Image crop", "link": links[0], "request_id": id_}
            case "nsfw_image_check":
                return {**_SUCCESS, "has_nsfw_concept": [False], "images": fields["init_image"]}
            case name:
                return _CONSTANT_REPLIES.get(name, _SUCCESS)

    def _upload(self, endpoint: Endpoint, urls: URLBuilder, now: float) -> tuple[int, list[str]]:
        job = self.intake.upload(family_name_of(endpoint), now=now)
        return int(job.ticket.id), urls.links(job)
