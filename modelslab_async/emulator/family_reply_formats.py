"""The format of each family's replies, taken from recorded replies."""

import json
from collections.abc import Mapping
from typing import Any, Self

from attrs import evolve, field, frozen


@frozen
class BodyTemplate:
    """
    The fields of a reply's body, in order, and where the value of each field comes from.

    `parse` reads a template from a string with one word for each field. `body` gets the values by
    name, and fills the template.

        id         the field `id`, with the value that is named `id`
        id:text    the field `id`, with the value that is named `text`
        id=null    the field `id`, which is always `null`
    """

    fields: tuple[tuple[str, str, Any], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of a template, such as `eta id links:future_links`."""
        return cls(tuple(_field(word) for word in text.split()))

    def body(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Build a body from named values. Leave out each field whose value is missing."""
        return {
            name: values[source] if source else constant
            for name, source, constant in self.fields
            if not source or source in values
        }


def _field(word: str) -> tuple[str, str, Any]:
    name, constant_sign, constant = word.partition("=")
    if constant_sign:
        return name, "", json.loads(constant)
    name, _, source = word.partition(":")
    return name, source or name, None


def _template(text: str | BodyTemplate) -> BodyTemplate:
    return BodyTemplate.parse(text) if isinstance(text, str) else text


@frozen(kw_only=True)
class FamilyFormat:
    """
    The formats of the replies of one family, or of one endpoint.

    Args:
        queued: The submit reply of a job that has just started.
        immediate: The submit reply of a job that has already succeeded.
        running: The poll reply of a job that has not ended.
        done: The poll reply of a job that has succeeded.
        message_field: The field of refusals that holds the message: `message` or `messege`.
        uses_model_names: Whether the field `meta` names the parameters as the generation models
            do, such as `W` for `width`.
        suffix: The usual file type of the job's results, such as `png`.
    """

    queued: BodyTemplate = field(converter=_template)
    immediate: BodyTemplate = field(converter=_template)
    running: BodyTemplate = field(converter=_template)
    done: BodyTemplate = field(converter=_template)
    message_field: str = "message"
    uses_model_names: bool = False
    suffix: str = ""


def _variant(base: FamilyFormat, **changes: Any) -> FamilyFormat:
    return evolve(base, **changes)


_DEFAULT = FamilyFormat(
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] meta '
    "future_links",
    immediate='status="success" generationTime id output proxy_links meta',
    running='status="processing" message:later output="" tip:upsell',
    done='status="success" id output proxy_links',
)
_IMMEDIATE_WITHOUT_PROXY = _variant(
    _DEFAULT, immediate='status="success" generationTime id output meta'
)
_DONE_WITHOUT_PROXY = _variant(_DEFAULT, done='status="success" id output')
_DEEPFAKE = _variant(
    _DEFAULT, done='status="success" id output tip:upsell proxy_links=null', suffix="mp4"
)
_EDITING = _variant(
    _DEFAULT,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    'future_links proxy_links="" meta',
)
_FACE_GEN = _variant(
    _DEFAULT,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    "future_links proxy_links=[] meta",
)
_ULTRA = _variant(
    _DEFAULT,
    immediate='status="success" generationTime id output proxy_links meta future_links',
    suffix="mp4",
)
_VOICE = _variant(
    _DEFAULT,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    "future_links proxy_links audio_time=null meta",
    suffix="wav",
)
_SONG = _variant(
    _DEFAULT,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    "future_links proxy_links meta",
    suffix="wav",
)
_TRANSCRIPT = _variant(
    _SONG, immediate='status="success" eta id output proxy_links meta', suffix="txt"
)
_MODEL_3D = _variant(
    _DEFAULT,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] meta '
    "future_links extra_assets=[]",
    suffix="obj",
)
_IMMEDIATE_NULL_ID = (
    'status="success" warning="" id=null generationTime output proxy_links '
    'nsfw_content_detected=false webhook_status="" meta'
)
_FLUX = _variant(
    _DONE_WITHOUT_PROXY, immediate='status="success" generationTime output meta', suffix="png"
)

# The older image families spell the field `message` as `messege`. Some send the ETA with decimals.
_COMMUNITY = FamilyFormat(
    queued='status="processing" tip:upsell tip_1:how eta:fraction messege:wait webhook_status="" '
    "fetch_result id output=[] meta future_links",
    immediate='status="success" generationTime id output meta',
    running='status="processing" messege:later output="" tip:upsell',
    done='status="success" id output',
    uses_model_names=True,
    suffix="png",
)
_LEGACY = _variant(
    _COMMUNITY,
    queued='status="processing" tip:upsell tip_1:how eta messege:wait fetch_result id output="" '
    "future_links meta",
    message_field="messege",
)
_V4 = _variant(
    _COMMUNITY,
    queued='status="processing" tip:how eta:fraction messege:wait webhook_status="" fetch_result '
    "id output=[] meta future_links",
    message_field="messege",
)
_V7 = _variant(
    _DEFAULT,
    queued='status="processing" eta message:wait fetch_result id:text output=[] future_links',
    immediate='status="success" generationTime id:text output meta',
    done='status="success" id:text output',
)

_FORMATS: Mapping[str, FamilyFormat] = {
    "images": _COMMUNITY,
    "realtime": _variant(_DEFAULT, uses_model_names=True, suffix="jpg"),
    "image_editing": _EDITING,
    "image_editing/face_gen": _FACE_GEN,
    "image_editing/fashion": _DEFAULT,
    "image_editing/flux_headshot": _FACE_GEN,
    "image_editing/head_shot": _FACE_GEN,
    "image_editing/inpaint": _IMMEDIATE_WITHOUT_PROXY,
    "video": _ULTRA,
    "video/text2video": _variant(_ULTRA, suffix="gif"),
    "video/img2video": _variant(_DEFAULT, suffix="gif"),
    "video/scene_maker": _variant(_DEFAULT, suffix="mp4"),
    "voice": _VOICE,
    "voice/song_generator": _SONG,
    "voice/speech_to_text": _TRANSCRIPT,
    "voice/text_to_audio": _SONG,
    # A recorded reply of `voice_cover` has no status, and names its links `links`, not `output`.
    "voice/voice_cover": _variant(
        _VOICE, immediate="generationTime id links:output proxy_links audio_time=30.0 meta"
    ),
    "whisper": _TRANSCRIPT,
    "three_d": _MODEL_3D,
    "controlnet_v5": _variant(
        _COMMUNITY,
        queued='status="processing" tip:upsell tip_1:how eta:fraction messege:wait fetch_result id '
        'output="" future_links meta',
        immediate='status="success" id output future_links meta',
        message_field="messege",
    ),
    "deepfake": _DEEPFAKE,
    "faceswap": _DEEPFAKE,
    "training": _variant(_DEFAULT, message_field="messege"),
    "v7_images": _variant(_V7, suffix="jpg"),
    "v7_video_fusion": _variant(_V7, suffix="mp4"),
    "v7_voice": _variant(_V7, suffix="wav"),
    "legacy_v4_dreambooth": _V4,
    "legacy_v3_dreambooth": _LEGACY,
    "legacy_v3": _variant(_LEGACY, done='status="success" id tip="" output'),
    "enterprise_text_to_image": _variant(
        _DONE_WITHOUT_PROXY, immediate=_IMMEDIATE_WITHOUT_PROXY.immediate, uses_model_names=True
    ),
    "enterprise_text_to_image/super_resolution": _variant(
        _DONE_WITHOUT_PROXY,
        immediate='status="success" generationTime id output:file',
        done='status="success" id output:file',
    ),
    "enterprise_realtime": _variant(_IMMEDIATE_WITHOUT_PROXY, uses_model_names=True),
    "enterprise_three_d": _variant(_MODEL_3D, immediate=_IMMEDIATE_NULL_ID),
    "enterprise_deepfake": _DEEPFAKE,
    "enterprise_faceswap": _DEEPFAKE,
    "enterprise_flux": _FLUX,
    "enterprise_flux/img2img": _variant(_FLUX, immediate=_IMMEDIATE_NULL_ID),
    "enterprise_flux_2_dev": _FLUX,
    "enterprise_flux_klein": _variant(_DONE_WITHOUT_PROXY, immediate='status="success" output'),
    "enterprise_face_gen": _DONE_WITHOUT_PROXY,
    "enterprise_flux_headshot": _DONE_WITHOUT_PROXY,
    "enterprise_z_image_turbo": _DONE_WITHOUT_PROXY,
    "enterprise_super_resolution": _variant(
        _DEFAULT,
        immediate='status="success" generationTime id output:file',
        done='status="success" id output:file proxy_links:mirror',
    ),
    "enterprise_text_to_speech": _variant(_VOICE, suffix="wav"),
    "enterprise_speech_to_text": _TRANSCRIPT,
    "enterprise_image_to_video_ultra": _ULTRA,
    "enterprise_ultra_video": _ULTRA,
    "enterprise_video": _ULTRA,
    "enterprise_voice": _VOICE,
    # No other endpoint sends the status `queued`, and no other endpoint names the id `taskId`.
    "enterprise_voice/sfx": _variant(
        _VOICE,
        queued="eta fileId:file_name links:future_links message:has_been_queued meta proxy_links "
        'seconds=null status="queued" taskId:text',
    ),
    "enterprise_voice/speech_to_text": _TRANSCRIPT,
    "enterprise_voice/voice_cover": _variant(
        _VOICE,
        immediate='generationTime id links:output proxy_links meta status="success"',
        done='status="success" id links:output proxy_links',
    ),
    "enterprise_nano_banana": _variant(_DONE_WITHOUT_PROXY, done='status="success" output'),
}

DEFAULT_SUFFIXES: Mapping[str, str] = {
    "image": "png",
    "video": "mp4",
    "audio": "wav",
    "text": "txt",
    "3d": "obj",
}


def format_of(job_type: str) -> FamilyFormat:
    """Return the reply format for a family such as `voice`, or an endpoint such as `voice/sfx`."""
    return _FORMATS.get(job_type) or _FORMATS.get(job_type.partition("/")[0]) or _DEFAULT


def default_suffix(job_type: str, media: tuple[str, ...]) -> str:
    """
    Return the usual file type of the results of a family or endpoint.

    If the reply format names no file type, return the usual type of the first medium in `media`.
    """
    return format_of(job_type).suffix or DEFAULT_SUFFIXES[media[0] if media else "image"]
