"""Endpoints that make 3D models from text or images."""

from .endpoint_group import EndpointGroup

_MESH = (
    "output_format render ss_guidance_strength ss_sampling_steps slat_guidance_strength "
    "slat_sampling_steps mesh_simplify chunk_size seed temp"
)

_THREE_D = EndpointGroup(family="three_d", root="{base}/v6/3d", docs="3d-api")
_ENTERPRISE_THREE_D = EndpointGroup(
    family="enterprise_three_d", root="{base}/v1/enterprise/3d", docs="enterprise-api/3d-api"
)

ROWS = (
    _THREE_D.endpoint(
        "image_to_3d",
        "",
        f"{_MESH} resolution multi_image",
        any_of=(("init_image", "image"),),
        page="image-to-3d",
    ),
    _THREE_D.endpoint(
        "text_to_3d",
        "prompt",
        f"{_MESH} resolution negative_prompt guidance_scale num_inference_steps "
        "foreground_ratio remove_bg",
        page="text-to-3d",
    ),
    _ENTERPRISE_THREE_D.endpoint(
        "image_to_3d", "image", f"{_MESH} resolution multi_image", page="image-to-3d"
    ),
    _ENTERPRISE_THREE_D.endpoint(
        "text_to_3d",
        "prompt",
        f"{_MESH} model_id negative_prompt guidance_scale num_inference_steps "
        "foreground_ratio remove_bg resolution",
        page="text-to-3d",
    ),
)
