"""Dialects: how each family words its replies, as recorded. A table and nothing else."""

import json
from collections.abc import Mapping
from typing import Any, Self

from attrs import evolve, field, frozen


@frozen
class Shape:
    """
    The fields of one kind of body, in order, and where each value comes from.

    Written as words: `id` takes the fact of that name, `id:text` the fact `text`, `id=null` is the
    JSON after the sign.
    """

    fields: tuple[tuple[str, str, Any], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form."""
        return cls(tuple(_field(word) for word in text.split()))

    def body(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Fill the shape. A fact that is not there leaves its field out."""
        return {
            name: facts[fact] if fact else constant
            for name, fact, constant in self.fields
            if not fact or fact in facts
        }


def _field(word: str) -> tuple[str, str, Any]:
    name, constant_sign, constant = word.partition("=")
    if constant_sign:
        return name, "", json.loads(constant)
    name, _, fact = word.partition(":")
    return name, fact or name, None


def _shape(text: str | Shape) -> Shape:
    return Shape.parse(text) if isinstance(text, str) else text


@frozen(kw_only=True)
class Dialect:
    """
    How one family says things.

    Args:
        queued: The submit reply of work that has just begun.
        at_once: The submit reply of work that is already done.
        running: The fetch reply of unfinished work.
        done: The fetch reply of finished work.
        message: How refusals spell the field of their message.
        renamed: Whether `meta` names sizes and counts as the models do (`W`, `n_samples`).
        usual: The file type of results.
    """

    queued: Shape = field(converter=_shape)
    at_once: Shape = field(converter=_shape)
    running: Shape = field(converter=_shape)
    done: Shape = field(converter=_shape)
    message: str = "message"
    renamed: bool = False
    usual: str = ""


def _but(base: Dialect, **changes: Any) -> Dialect:
    return evolve(base, **changes)


_PLAIN = Dialect(
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] meta '
    "future_links",
    at_once='status="success" generationTime id output proxy_links meta',
    running='status="processing" message:later output="" tip:upsell',
    done='status="success" id output proxy_links',
)
_BARE = _but(_PLAIN, at_once='status="success" generationTime id output meta')
_BRIEF = _but(_PLAIN, done='status="success" id output')
_DEEPFAKE = _but(_PLAIN, done='status="success" id output tip:upsell proxy_links=null', usual="mp4")
_EDITING = _but(
    _PLAIN,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    'future_links proxy_links="" meta',
)
_FACE_GEN = _but(
    _PLAIN,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    "future_links proxy_links=[] meta",
)
_UNMIRRORED = _but(_PLAIN, at_once='status="success" generationTime id output meta')
_ULTRA = _but(
    _PLAIN,
    at_once='status="success" generationTime id output proxy_links meta future_links',
    usual="mp4",
)
_VOICE = _but(
    _PLAIN,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    "future_links proxy_links audio_time=null meta",
    usual="wav",
)
_SONG = _but(
    _PLAIN,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] '
    "future_links proxy_links meta",
    usual="wav",
)
_TRANSCRIPT = _but(_SONG, at_once='status="success" eta id output proxy_links meta', usual="txt")
_MODEL = _but(
    _PLAIN,
    queued='status="processing" tip:in_background eta message:wait fetch_result id output=[] meta '
    "future_links extra_assets=[]",
    usual="obj",
)
_UNNUMBERED = (
    'status="success" warning="" id=null generationTime output proxy_links '
    'nsfw_content_detected=false webhook_status="" meta'
)
_FLUX = _but(_BRIEF, at_once='status="success" generationTime output meta', usual="png")

# The image families of all ages spell `messege`, and their etas are fractions.
_COMMUNITY = Dialect(
    queued='status="processing" tip:upsell tip_1:how eta:fraction messege:wait webhook_status="" '
    "fetch_result id output=[] meta future_links",
    at_once='status="success" generationTime id output meta',
    running='status="processing" messege:later output="" tip:upsell',
    done='status="success" id output',
    renamed=True,
    usual="png",
)
_LEGACY = _but(
    _COMMUNITY,
    queued='status="processing" tip:upsell tip_1:how eta messege:wait fetch_result id output="" '
    "future_links meta",
    message="messege",
)
_V4 = _but(
    _COMMUNITY,
    queued='status="processing" tip:how eta:fraction messege:wait webhook_status="" fetch_result '
    "id output=[] meta future_links",
    message="messege",
)
_V7 = _but(
    _PLAIN,
    queued='status="processing" eta message:wait fetch_result id:text output=[] future_links',
    at_once='status="success" generationTime id:text output meta',
    done='status="success" id:text output',
)

_TABLE: Mapping[str, Dialect] = {
    "images": _COMMUNITY,
    "realtime": _but(_PLAIN, renamed=True, usual="jpg"),
    "image_editing": _EDITING,
    "image_editing/face_gen": _FACE_GEN,
    "image_editing/fashion": _PLAIN,
    "image_editing/flux_headshot": _FACE_GEN,
    "image_editing/head_shot": _FACE_GEN,
    "image_editing/inpaint": _BARE,
    "video": _ULTRA,
    "video/text2video": _but(_ULTRA, usual="gif"),
    "video/img2video": _but(_PLAIN, usual="gif"),
    "video/scene_maker": _but(_PLAIN, usual="mp4"),
    "voice": _VOICE,
    "voice/song_generator": _SONG,
    "voice/speech_to_text": _TRANSCRIPT,
    "voice/text_to_audio": _SONG,
    # Recorded: no status at all, and links where everyone else has output.
    "voice/voice_cover": _but(
        _VOICE, at_once="generationTime id links:output proxy_links audio_time=30.0 meta"
    ),
    "whisper": _TRANSCRIPT,
    "three_d": _MODEL,
    "controlnet_v5": _but(
        _COMMUNITY,
        queued='status="processing" tip:upsell tip_1:how eta:fraction messege:wait fetch_result id '
        'output="" future_links meta',
        at_once='status="success" id output future_links meta',
        message="messege",
    ),
    "deepfake": _DEEPFAKE,
    "faceswap": _DEEPFAKE,
    "training": _but(_PLAIN, message="messege"),
    "v7_images": _but(_V7, usual="jpg"),
    "v7_video_fusion": _but(_V7, usual="mp4"),
    "v7_voice": _but(_V7, usual="wav"),
    "legacy_v4_dreambooth": _V4,
    "legacy_v3_dreambooth": _LEGACY,
    "legacy_v3": _but(_LEGACY, done='status="success" id tip="" output'),
    "enterprise_text_to_image": _but(_BRIEF, at_once=_UNMIRRORED.at_once, renamed=True),
    "enterprise_text_to_image/super_resolution": _but(
        _BRIEF,
        at_once='status="success" generationTime id output:file',
        done='status="success" id output:file',
    ),
    "enterprise_realtime": _but(_UNMIRRORED, renamed=True),
    "enterprise_three_d": _but(_MODEL, at_once=_UNNUMBERED),
    "enterprise_deepfake": _DEEPFAKE,
    "enterprise_faceswap": _DEEPFAKE,
    "enterprise_flux": _FLUX,
    "enterprise_flux/img2img": _but(_FLUX, at_once=_UNNUMBERED),
    "enterprise_flux_2_dev": _FLUX,
    "enterprise_flux_klein": _but(_BRIEF, at_once='status="success" output'),
    "enterprise_face_gen": _BRIEF,
    "enterprise_flux_headshot": _BRIEF,
    "enterprise_z_image_turbo": _BRIEF,
    "enterprise_super_resolution": _but(
        _PLAIN,
        at_once='status="success" generationTime id output:file',
        done='status="success" id output:file proxy_links:mirror',
    ),
    "enterprise_text_to_speech": _but(_VOICE, usual="wav"),
    "enterprise_speech_to_text": _TRANSCRIPT,
    "enterprise_image_to_video_ultra": _ULTRA,
    "enterprise_ultra_video": _ULTRA,
    "enterprise_video": _ULTRA,
    "enterprise_voice": _VOICE,
    # The only body with the word `queued`, and with a task's id instead of an id.
    "enterprise_voice/sfx": _but(
        _VOICE,
        queued="eta fileId:file_name links:future_links message:has_been_queued meta proxy_links "
        'seconds=null status="queued" taskId:text',
    ),
    "enterprise_voice/speech_to_text": _TRANSCRIPT,
    "enterprise_voice/voice_cover": _but(
        _VOICE,
        at_once='generationTime id links:output proxy_links meta status="success"',
        done='status="success" id links:output proxy_links',
    ),
    "enterprise_nano_banana": _but(_BRIEF, done='status="success" output'),
}

USUAL: Mapping[str, str] = {
    "image": "png",
    "video": "mp4",
    "audio": "wav",
    "text": "txt",
    "3d": "obj",
}


def dialect_of(work: str) -> Dialect:
    """How this work (`family` or `family/endpoint`) is spoken of."""
    return _TABLE.get(work) or _TABLE.get(work.partition("/")[0]) or _PLAIN


def usual_suffix(work: str, media: tuple[str, ...]) -> str:
    """The file type of this work's results, where its endpoint does not say another."""
    return dialect_of(work).usual or USUAL[media[0] if media else "image"]
