"""Endpoints: the paths that start work, a row a prefix. How they reply is the dialects' matter."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from attrs import frozen


@frozen(kw_only=True)
class Endpoint:
    """
    One path that starts work.

    Args:
        path: The path below the API's root, without a leading slash.
        family: The family whose fetch resolves it.
        work: `family/name`, by which the dialects know it.
        suffix: The file type of its results; empty for the family's usual one.
        needs_prompt: Whether it refuses bodies without a prompt.
    """

    path: str
    family: str
    work: str
    suffix: str = ""
    needs_prompt: bool = False


_INTERIOR = (
    "exterior_restorer! floor_planning! make! object_removal room_decorator! sketch_rendering!"
)
_FACES = "multiple_face_swap:jpg single_face_swap:jpg single_video_swap:mp4 specific_video_swap:mp4"
_VOICE = (
    "music_gen! sfx! text_to_audio! voice_cover voice_to_voice speech_to_text:txt "
    "text_to_speech! song_generator create_dubbing:mp4 lyrics_generator!:txt"
)
_EDITING = (
    "face_gen! fashion head_shot! mask_creator object_removal outpaint qwen_edit! removebg_mask"
)
_CLIPS = (
    "text2video!:gif img2video:gif text2video_ultra! img2video_ultra! scene_maker! video2video "
    "watermark_remover"
)
_V7_VOICE = (
    "text-to-speech! speech-to-text:txt speech-to-speech music-gen! sound-generation! "
    "song-extender song-inpaint! create-dubbing"
)
_PAIR = "text2img! img2img!"

# Each row: the family, the prefix, and the names below it. `!` marks a name that needs a prompt,
# `:txt` the file type where it is not the family's usual one, `.` the prefix itself.
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("images", "v6/images", "text2img! img2img! inpaint controlnet!"),
    ("realtime", "v6/realtime", "text2img! img2img! inpaint!"),
    (
        "image_editing",
        "v6/image_editing",
        f"{_EDITING} caption:txt flux_headshot! img_mixer! inpaint! super_resolution",
    ),
    ("interior", "v6/interior", f"{_INTERIOR} interior_mixer! scenario! scenario_changer!"),
    (
        "video",
        "v6/video",
        _CLIPS,
    ),
    ("voice", "v6/voice", f"{_VOICE} vocal_isolator voice_design!"),
    ("whisper", "v6/whisper", "transcribe"),
    ("three_d", "v6/3d", "image_to_3d text_to_3d!:glb"),
    ("faceswap", "v6/faceswap", _FACES),
    ("deepfake", "v6/deepfake", _FACES),
    ("controlnet_v5", "v5", "controlnet"),
    ("training", "v3", "lora_fine_tune"),
    ("v7_images", "v7/images", "text-to-image! image-to-image! inpaint!"),
    (
        "v7_video_fusion",
        "v7/video-fusion",
        "text-to-video! image-to-video lip-sync motion-control video-to-video!",
    ),
    (
        "v7_voice",
        "v7/voice",
        _V7_VOICE,
    ),
    ("legacy_v4_dreambooth", "v4/dreambooth", ". img2img inpaint"),
    ("legacy_v3_dreambooth", "v3/dreambooth", ". img2img inpaint"),
    ("legacy_v3", "v3", "text2img img2img inpaint"),
    ("legacy_v3", "v5", "text2video:mp4"),
    ("enterprise_text_to_image", "v1/enterprise", f"{_PAIR} inpaint controlnet super_resolution"),
    # The official clients of this family put `images` into the path, the documents do not.
    ("enterprise_text_to_image", "v1/enterprise/images", f"{_PAIR} inpaint controlnet"),
    ("enterprise_realtime", "v1/enterprise/realtime", "text2img! img2img! inpaint!"),
    ("enterprise_image_editing", "v1/enterprise/image_editing", f"{_EDITING} magic_mix!"),
    ("enterprise_interior", "v1/enterprise/interior", f"{_INTERIOR} scenario_changer"),
    ("enterprise_three_d", "v1/enterprise/3d", "image_to_3d text_to_3d!"),
    ("enterprise_face_gen", "v1/enterprise/face_gen", "make_gen!"),
    ("enterprise_faceswap", "v1/enterprise/faceswap", _FACES),
    ("enterprise_deepfake", "v1/enterprise/deepfake", _FACES),
    ("enterprise_flux", "v1/enterprise/flux", _PAIR),
    ("enterprise_flux_klein", "v1/enterprise/flux_klein", _PAIR),
    ("enterprise_flux_headshot", "v1/enterprise/flux_headshot", "make_gen!"),
    ("enterprise_flux_kontext_dev", "v1/enterprise/flux_kontext_dev", "img2img!"),
    ("enterprise_qwen", "v1/enterprise/qwen", f"{_PAIR} inpaint!"),
    ("enterprise_z_image_turbo", "v1/enterprise/z_image_turbo", _PAIR),
    ("enterprise_super_resolution", "v1/enterprise/super_resolution", "make"),
    ("enterprise_text_to_speech", "v1/enterprise/text_to_speech", "make"),
    ("enterprise_speech_to_text", "v1/enterprise/speech_to_text", "transcribe"),
    ("enterprise_image_to_video_ultra", "v1/enterprise/image_to_video_ultra", "img2video!"),
    ("enterprise_ultra_video", "v1/enterprise/ultra_video", "text2video!"),
    ("enterprise_video", "v1/enterprise/video", "text2video!:gif img2video:gif"),
    ("enterprise_voice", "v1/enterprise/voice", _VOICE),
    # No submit page was seen for these; the names follow their siblings.
    ("enterprise_nano_banana", "v1/enterprise/nano_banana", _PAIR),
    ("enterprise_qwen_edit_2_1", "v1/enterprise/qwen_edit_2_1", "img2img!"),
    ("enterprise_minimax_h3", "v1/enterprise/minimax_h3", "text2video! img2video"),
    ("enterprise_ltx_2_3", "v1/enterprise/ltx_2_3", "text2video! img2video"),
    ("enterprise_pony", "v1/enterprise/pony", _PAIR),
)

DEPLOYED_AS: Mapping[tuple[str, str], str] = MappingProxyType(
    {("enterprise_flux", "flux_2_dev"): "enterprise_flux_2_dev"}
)
"""Families that share the paths of another one and are told apart by the field `deploy_type`."""

NAMED_FETCH: Mapping[str, str] = MappingProxyType(
    {
        "controlnet_v5/controlnet": "images",
        "voice/speech_to_text": "whisper",
        "enterprise_voice/speech_to_text": "whisper",
        "enterprise_image_to_video_ultra/img2video": "video",
        "legacy_v4_dreambooth/dreambooth": "legacy_v3_dreambooth",
        "legacy_v4_dreambooth/img2img": "legacy_v3_dreambooth",
        "legacy_v4_dreambooth/inpaint": "legacy_v3_dreambooth",
    }
)
"""Work whose `fetch_result` was seen to name another family than its own."""


def _endpoints(family: str, prefix: str, names: str) -> Iterator[Endpoint]:
    for marked in names.split():
        head, _, suffix = marked.partition(":")
        name = head.removesuffix("!")
        path = prefix if name == "." else f"{prefix}/{name}"
        yield Endpoint(
            path=path,
            family=family,
            work=f"{family}/{path.rpartition('/')[2]}",
            suffix=suffix,
            needs_prompt=head.endswith("!"),
        )


def endpoints_of(families: Iterable[str]) -> dict[str, Endpoint]:
    """The endpoints of these families, by path."""
    wanted = set(families)
    return {
        endpoint.path: endpoint
        for family, prefix, names in _ROWS
        if family in wanted
        for endpoint in _endpoints(family, prefix, names)
    }
