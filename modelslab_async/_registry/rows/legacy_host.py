"""Endpoints of the old host. Its documentation is gone, so no parameter is required."""

from .endpoint_group import EndpointGroup

_LEGACY_V4_DREAMBOOTH = EndpointGroup(family="legacy_v4_dreambooth", root="{legacy}/v4/dreambooth")
_LEGACY_V3_DREAMBOOTH = EndpointGroup(family="legacy_v3_dreambooth", root="{legacy}/v3/dreambooth")
_LEGACY_V3 = EndpointGroup(family="legacy_v3", root="{legacy}/v3", output=("image",))

ROWS = (
    _LEGACY_V4_DREAMBOOTH.endpoint(
        "dreambooth",
        "",
        "model_id prompt negative_prompt width height samples num_inference_steps "
        "safety_checker enhance_prompt seed guidance_scale multi_lingual panorama "
        "self_attention upscale embeddings_model lora_model lora_strength scheduler "
        "clip_skip base64 temp",
        subpath="",
    ),
    _LEGACY_V4_DREAMBOOTH.endpoint("img2img", "", "model_id prompt init_image"),
    _LEGACY_V4_DREAMBOOTH.endpoint("inpaint", "", "model_id prompt init_image mask_image"),
    _LEGACY_V3_DREAMBOOTH.endpoint("dreambooth", "", "model_id prompt", subpath=""),
    _LEGACY_V3_DREAMBOOTH.endpoint("img2img", "", "model_id prompt"),
    _LEGACY_V3_DREAMBOOTH.endpoint("inpaint", "", "model_id prompt"),
    _LEGACY_V3.endpoint("img2img", "", "prompt"),
    _LEGACY_V3.endpoint("inpaint", "", "prompt"),
    _LEGACY_V3.endpoint("text2img", "", "prompt"),
)
