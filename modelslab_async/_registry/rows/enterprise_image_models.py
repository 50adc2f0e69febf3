"""Endpoints of image models that have their own enterprise servers."""

from .endpoint_group import EndpointGroup

_COMMON = "negative_prompt width height samples safety_checker seed instant_response base64"
_STEPS = "num_inference_steps guidance_scale"

_ENTERPRISE_FLUX = EndpointGroup(
    family="enterprise_flux", root="{base}/v1/enterprise/flux", docs="enterprise-api/flux"
)
_ENTERPRISE_FLUX_KLEIN = EndpointGroup(
    family="enterprise_flux_klein",
    root="{base}/v1/enterprise/flux_klein",
    docs="enterprise-api/flux-klein",
)
_ENTERPRISE_FLUX_KONTEXT_DEV = EndpointGroup(
    family="enterprise_flux_kontext_dev",
    root="{base}/v1/enterprise/flux_kontext_dev",
    docs="enterprise-api/flux-kontext-dev",
)
_ENTERPRISE_FLUX_HEADSHOT = EndpointGroup(
    family="enterprise_flux_headshot",
    root="{base}/v1/enterprise/flux_headshot",
    docs="enterprise-api/flux-headshot",
)
_ENTERPRISE_FACE_GEN = EndpointGroup(
    family="enterprise_face_gen",
    root="{base}/v1/enterprise/face_gen",
    docs="enterprise-api/face-gen",
)
_ENTERPRISE_QWEN = EndpointGroup(
    family="enterprise_qwen", root="{base}/v1/enterprise/qwen", docs="enterprise-api/qwen"
)
_ENTERPRISE_Z_IMAGE_TURBO = EndpointGroup(
    family="enterprise_z_image_turbo",
    root="{base}/v1/enterprise/z_image_turbo",
    docs="enterprise-api/z-image-turbo",
)
_ENTERPRISE_SUPER_RESOLUTION = EndpointGroup(
    family="enterprise_super_resolution",
    root="{base}/v1/enterprise/super_resolution",
    docs="enterprise-api/super-resolution",
)

ROWS = (
    _ENTERPRISE_FLUX.endpoint(
        "img2img", "deploy_type prompt", f"{_COMMON} init_image strength temp", page="img2img"
    ),
    _ENTERPRISE_FLUX.endpoint("text2img", "deploy_type prompt", _COMMON, page="text2img"),
    _ENTERPRISE_FLUX_KLEIN.endpoint(
        "img2img", "prompt init_image", f"{_COMMON} strength temp", page="img2img"
    ),
    _ENTERPRISE_FLUX_KLEIN.endpoint("text2img", "prompt", _COMMON, page="text2img"),
    _ENTERPRISE_FLUX_KONTEXT_DEV.endpoint(
        "img2img",
        "prompt",
        f"{_COMMON} init_image init_image_2 strength temp",
        page="image-to-image",
    ),
    _ENTERPRISE_FLUX_HEADSHOT.endpoint(
        "make_gen",
        "prompt face_image",
        f"{_STEPS} width height seed base64 negative_prompt",
        page="make-gen",
    ),
    _ENTERPRISE_FACE_GEN.endpoint(
        "make_gen",
        "prompt face_image",
        f"{_STEPS} safety_checker safety_checker_type width height s_scale seed samples "
        "base64 negative_prompt",
        page="make-gen",
    ),
    _ENTERPRISE_QWEN.endpoint(
        "img2img", "prompt init_image", "negative_prompt samples width height", page="img-to-img"
    ),
    _ENTERPRISE_QWEN.endpoint(
        "inpaint",
        "prompt init_image mask_image",
        "negative_prompt samples width height",
        page="inpaint",
    ),
    _ENTERPRISE_QWEN.endpoint(
        "text2img", "prompt", "negative_prompt samples width height", page="text-to-img"
    ),
    _ENTERPRISE_Z_IMAGE_TURBO.endpoint(
        "img2img", "prompt init_image", f"{_COMMON} lora_model lora_strength", page="img2img"
    ),
    _ENTERPRISE_Z_IMAGE_TURBO.endpoint(
        "text2img", "prompt", f"{_COMMON} lora_model lora_strength", page="text2img"
    ),
    _ENTERPRISE_SUPER_RESOLUTION.endpoint("make", "init_image", "scale face_enhance", page="make"),
)
