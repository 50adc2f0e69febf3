"""
Endpoints of the service's old host. Here, all their parameters are optional.

Some pages of the old host's documentation are gone, and the others do not say which parameters are
required.
"""

from .endpoint_group import EndpointGroup

_LEGACY_V4_DREAMBOOTH = EndpointGroup(family="legacy_v4_dreambooth", root="{legacy}/v4/dreambooth")
_LEGACY_V3_DREAMBOOTH = EndpointGroup(family="legacy_v3_dreambooth", root="{legacy}/v3/dreambooth")
_LEGACY_V3 = EndpointGroup(family="legacy_v3", root="{legacy}/v3", output=("image",))
_LEGACY_V5 = EndpointGroup(family="legacy_v3", root="{legacy}/v5", output=("image",))

_OLD_DOCS = "https://stablediffusionapi.com/docs"
_SHAPE = "steps guidance_scale frame_size seed seconds"
_FAMILY_NOTE = (
    "The documentation does not say how to poll the tickets of this endpoint. The client assumes "
    "that their family is `legacy_v3`."
)

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
    _LEGACY_V3.endpoint(
        "img_to_3d",
        "",
        f"{_SHAPE} image batch_size safety_checker",
        page=f"{_OLD_DOCS}/text-to-3d/imageto3d",
        output=("3d",),
        note=_FAMILY_NOTE,
    ),
    _LEGACY_V3.endpoint("inpaint", "", "prompt"),
    _LEGACY_V3.endpoint(
        "super_resolution",
        "",
        "url scale face_enhance model_id",
        files=("url",),
        callback_params="webhook",
        page=f"{_OLD_DOCS}/image-editing/super-resolution",
        note=_FAMILY_NOTE,
    ),
    _LEGACY_V3.endpoint("text2img", "", "prompt"),
    _LEGACY_V3.endpoint(
        "txt_to_3d",
        "",
        f"{_SHAPE} prompt negative_prompt output_type lora_strength",
        page=f"{_OLD_DOCS}/text-to-3d/textto3d",
        output=("3d",),
        note=_FAMILY_NOTE,
    ),
    _LEGACY_V5.endpoint(
        "interior",
        "",
        "prompt init_image steps guidance_scale",
        page=f"{_OLD_DOCS}/miscs/interior",
        note=_FAMILY_NOTE,
    ),
    _LEGACY_V5.endpoint(
        "pix2pix",
        "",
        "prompt init_image image_guidance_scale steps guidance_scale",
        page=f"{_OLD_DOCS}/image-editing/pix2pix",
        note=_FAMILY_NOTE,
    ),
    _LEGACY_V5.endpoint(
        "removebg_mask",
        "",
        "image alpha_matting post_process_mask only_mask seed alpha_matting_foreground_threshold "
        "alpha_matting_background_threshold alpha_matting_erode_size",
        page=f"{_OLD_DOCS}/image-editing/removebg-createmask",
        note=_FAMILY_NOTE,
    ),
    _LEGACY_V5.endpoint(
        "text2video",
        "",
        "prompt negative_prompt scheduler seconds",
        page=f"{_OLD_DOCS}/text-to-video/texttovideo",
        output=("video",),
    ),
)
