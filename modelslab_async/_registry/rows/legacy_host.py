"""The old host. Its pages are gone, so nothing is known to be required."""

from .row_group import Area

_LEGACY_V4_DREAMBOOTH = Area(family="legacy_v4_dreambooth", root="{legacy}/v4/dreambooth")
_LEGACY_V3_DREAMBOOTH = Area(family="legacy_v3_dreambooth", root="{legacy}/v3/dreambooth")
_LEGACY_V3 = Area(family="legacy_v3", root="{legacy}/v3", output=("image",))

ROWS = (
    _LEGACY_V4_DREAMBOOTH.row(
        "dreambooth",
        "",
        "model_id prompt negative_prompt width height samples num_inference_steps "
        "safety_checker enhance_prompt seed guidance_scale multi_lingual panorama "
        "self_attention upscale embeddings_model lora_model lora_strength scheduler "
        "clip_skip base64 temp",
        at="",
    ),
    _LEGACY_V4_DREAMBOOTH.row("img2img", "", "model_id prompt init_image"),
    _LEGACY_V4_DREAMBOOTH.row("inpaint", "", "model_id prompt init_image mask_image"),
    _LEGACY_V3_DREAMBOOTH.row("dreambooth", "", "model_id prompt", at=""),
    _LEGACY_V3_DREAMBOOTH.row("img2img", "", "model_id prompt"),
    _LEGACY_V3_DREAMBOOTH.row("inpaint", "", "model_id prompt"),
    _LEGACY_V3.row("img2img", "", "prompt"),
    _LEGACY_V3.row("inpaint", "", "prompt"),
    _LEGACY_V3.row("text2img", "", "prompt"),
)
