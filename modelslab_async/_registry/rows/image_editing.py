"""Endpoints that edit or describe an image."""

from .endpoint_group import OFFICIAL_CLIENTS, EndpointGroup

_ALPHA = (
    "alpha_matting post_process_mask only_mask alpha_matting_foreground_threshold "
    "alpha_matting_background_threshold alpha_matting_erode_size"
)
_PORTRAIT = (
    "negative_prompt width height num_inference_steps guidance_scale s_scale samples "
    "safety_checker safety_checker_type base64 style seed"
)
_STEPS = "num_inference_steps guidance_scale"
_INPAINT = (
    f"{_STEPS} negative_prompt width height samples safety_checker strength instant_response "
    "base64 seed"
)

_IMAGE_EDITING = EndpointGroup(
    family="image_editing",
    root="{base}/v6/image_editing",
    docs="image-editing",
    output=("image",),
)
_ENTERPRISE_IMAGE_EDITING = EndpointGroup(
    family="enterprise_image_editing",
    root="{base}/v1/enterprise/image_editing",
    docs="enterprise-api/image-editing",
    output=("image",),
)

ROWS = (
    _IMAGE_EDITING.endpoint(
        "caption", "init_image", "length base64", page="caption", output=("text",)
    ),
    _IMAGE_EDITING.endpoint("face_gen", "prompt face_image", f"{_PORTRAIT}", page="face-gen"),
    _IMAGE_EDITING.endpoint(
        "fashion",
        "init_image cloth_image",
        f"{_STEPS} cloth_type prompt negative_prompt temp seed width height",
        page="fashion",
    ),
    _IMAGE_EDITING.endpoint(
        "flux_headshot", "prompt face_image", f"{_PORTRAIT}", page="flux-headshot"
    ),
    _IMAGE_EDITING.endpoint("head_shot", "prompt face_image", f"{_PORTRAIT}", page="head-shot"),
    _IMAGE_EDITING.endpoint(
        "img_mixer",
        "prompt init_image",
        "negative_prompt width height steps guidance_scale seed samples",
        page="imagemixer",
    ),
    _IMAGE_EDITING.endpoint(
        "inpaint",
        "prompt init_image mask_image",
        _INPAINT,
        page="inpaint",
    ),
    _IMAGE_EDITING.endpoint(
        "mask_creator", "specific_object", "base64 init_image", page="mask-creator"
    ),
    _IMAGE_EDITING.endpoint("object_removal", "init_image mask_image", page="object-remover"),
    _IMAGE_EDITING.endpoint(
        "outpaint",
        "image",
        f"{_STEPS} prompt negative_prompt width height overlap_width seed temp base64",
        page="outpaint",
    ),
    _IMAGE_EDITING.endpoint(
        "qwen_edit", "prompt init_image", "safety_checker base64 model_id", page="qwen-edit"
    ),
    _IMAGE_EDITING.endpoint(
        "removebg_mask", "image", f"{_ALPHA} inverse_mask seed base64", page="removebg-createmask"
    ),
    _IMAGE_EDITING.endpoint(
        "super_resolution", "init_image", "model_id scale face_enhance", page="super-resolution"
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "caption", "init_image", "length base64", unverified=OFFICIAL_CLIENTS, output=("text",)
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "face_gen", "prompt face_image", f"{_PORTRAIT}", page="face-gen"
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "fashion",
        "init_image cloth_image cloth_type prompt",
        f"{_STEPS} negative_prompt seed",
        page="fashion",
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "flux_headshot", "prompt face_image", _PORTRAIT, unverified=OFFICIAL_CLIENTS
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "head_shot", "face_image prompt", f"{_STEPS} negative_prompt seed", page="head-shot"
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "inpaint", "prompt init_image mask_image", _INPAINT, unverified=OFFICIAL_CLIENTS
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "magic_mix",
        "prompt image",
        "negative_prompt width height kmin kmax mix_factor steps samples seed",
        page="magic-mix",
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "mask_creator", "specific_object", "base64 init_image", page="mask_creator"
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "object_removal", "init_image mask_image", page="object-removal"
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "outpaint",
        "image",
        f"{_STEPS} prompt negative_prompt width height overlap_width seed temp base64",
        page="outpainting",
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "qwen_edit", "prompt init_image", "base64", page="qwen-edit"
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "removebg_mask", "image", f"{_ALPHA} seed", page="removebg-createmask"
    ),
    _ENTERPRISE_IMAGE_EDITING.endpoint(
        "super_resolution",
        "init_image",
        "model_id scale face_enhance",
        unverified=OFFICIAL_CLIENTS,
    ),
)
