"""Endpoints that make images from text or images: community models, realtime and v7."""

from .endpoint_group import OFFICIAL_CLIENTS, PUBLIC_CLIENTS, EndpointGroup

_IP_ADAPTER = "ip_adapter_id ip_adapter_scale ip_adapter_image"
_LORA = "vae lora_strength lora_model"
_COMMON = "negative_prompt width height samples safety_checker seed instant_response base64"
_SIZE = "width height samples"
_STEPS = "num_inference_steps guidance_scale"
_LEGACY = "multi_lingual panorama self_attention upscale"
_SAMPLER = "scheduler use_karras_sigmas algorithm_type"
_SAFETY = "safety_checker safety_checker_type"
_CONTROL = (
    "controlnet_model controlnet_type auto_hint guess_mode control_image "
    "controlnet_conditioning_scale"
)

_IMAGES = EndpointGroup(
    family="images", root="{base}/v6/images", docs="image-generation/community-models"
)
_REALTIME = EndpointGroup(
    family="realtime", root="{base}/v6/realtime", docs="image-generation/realtime-stable-diffusion"
)
_CONTROLNET_V5 = EndpointGroup(
    family="controlnet_v5", root="{base}/v5", docs="image-generation/controlnet"
)
_V7_IMAGES = EndpointGroup(family="v7_images", root="{base}/v7/images", docs="mcp-web-api")
_V8_IMAGES = EndpointGroup(family="v8_images", root="{base}/v8/images")
_ENTERPRISE_TEXT_TO_IMAGE = EndpointGroup(
    family="enterprise_text_to_image",
    root="{base}/v1/enterprise",
    docs="enterprise-api/text-to-image",
)
_ENTERPRISE_REALTIME = EndpointGroup(
    family="enterprise_realtime",
    root="{base}/v1/enterprise/realtime",
    docs="enterprise-api/realtime",
)

ROWS = (
    _IMAGES.endpoint(
        "controlnet",
        "",
        f"{_SIZE} {_STEPS} {_LEGACY} prompt model_id init_image mask_image negative_prompt "
        "safety_checker seed enhance_prompt lora_model lora_strength scheduler "
        "clip_skip controlnet_model controlnet_type strength",
    ),
    _IMAGES.endpoint(
        "img2img",
        "init_image",
        f"{_IP_ADAPTER} {_LORA} {_SIZE} {_STEPS} {_LEGACY} {_SAMPLER} {_SAFETY} model_id "
        "prompt negative_prompt init_image_2 strength guidance enhance_prompt seed "
        "base64 temp clip_skip",
        page="dreambooth-image-to-image",
    ),
    _IMAGES.endpoint(
        "inpaint",
        "model_id init_image mask_image",
        f"{_IP_ADAPTER} {_LORA} {_SIZE} {_STEPS} {_LEGACY} {_SAMPLER} {_SAFETY} prompt "
        "negative_prompt enhance_prompt seed clip_skip base64 temp strength steps",
        page="dreambooth-inpainting",
    ),
    _IMAGES.endpoint(
        "text2img",
        "prompt model_id",
        f"{_IP_ADAPTER} {_LORA} {_SIZE} {_STEPS} {_LEGACY} {_SAMPLER} {_SAFETY} "
        "negative_prompt enhance_prompt seed clip_skip base64 temp highres_fix "
        "injected_noise_alpha sigma_threshold true_cfg_scale use_cfg_zero_star "
        "use_zero_init zero_steps",
        page="dreambooth-text-to-image",
    ),
    _REALTIME.endpoint(
        "img2img", "prompt init_image", f"{_COMMON} {_STEPS} strength temp", page="image-to-image"
    ),
    _REALTIME.endpoint(
        "inpaint", "prompt init_image mask_image", f"{_COMMON} {_STEPS} strength", page="inpaint"
    ),
    _REALTIME.endpoint(
        "text2img", "prompt", f"{_COMMON} {_STEPS} init_image strength", page="text-to-image"
    ),
    _CONTROLNET_V5.endpoint(
        "controlnet",
        "",
        f"{_IP_ADAPTER} {_LORA} {_SIZE} {_STEPS} {_SAMPLER} {_CONTROL} model_id prompt "
        "negative_prompt init_image mask_image tomesd safety_checker enhance_prompt "
        "strength seed upscale clip_skip base64 temp",
        resolved_by="images",
        page="controlnet-main",
    ),
    _V7_IMAGES.endpoint(
        "image-to-image",
        "model_id init_image prompt",
        f"{_SIZE} aspect_ratio init_image_2 negative_prompt strength",
        page="tools-reference",
    ),
    _V7_IMAGES.endpoint(
        "inpaint",
        "model_id prompt init_image mask_image",
        "negative_prompt strength",
        page="tools-reference",
    ),
    _V7_IMAGES.endpoint(
        "text-to-image",
        "model_id prompt",
        f"{_SIZE} {_STEPS} aspect_ratio negative_prompt seed scheduler",
        page="tools-reference",
    ),
    _V8_IMAGES.endpoint(
        "background-removal",
        "",
        "image_url only_mask inverse_mask seed alpha_matting post_process_mask base64",
        unverified=PUBLIC_CLIENTS,
    ),
    _V8_IMAGES.endpoint(
        "text-to-image",
        "",
        f"{_SIZE} {_STEPS} model_id prompt negative_prompt",
        unverified=PUBLIC_CLIENTS,
    ),
    _ENTERPRISE_TEXT_TO_IMAGE.endpoint(
        "controlnet",
        "model_id",
        f"{_LORA} {_SIZE} {_STEPS} {_SAMPLER} {_CONTROL} prompt negative_prompt "
        "init_image mask_image tomesd safety_checker enhance_prompt multi_lingual "
        "strength seed upscale clip_skip base64 temp",
        page="controlnet-ep",
    ),
    _ENTERPRISE_TEXT_TO_IMAGE.endpoint(
        "img2img",
        "model_id prompt",
        f"{_LORA} {_SIZE} {_STEPS} {_SAFETY} negative_prompt init_image strength "
        "clip_skip seed enhance_prompt scheduler tomesd use_karras_sigmas",
        page="img2img",
    ),
    _ENTERPRISE_TEXT_TO_IMAGE.endpoint(
        "inpaint",
        "",
        f"{_LORA} {_SIZE} {_STEPS} {_SAMPLER} {_SAFETY} model_id prompt negative_prompt "
        "init_image mask_image strength seed tomesd enhance_prompt clip_skip base64 "
        "temp",
        page="inpainting",
    ),
    _ENTERPRISE_TEXT_TO_IMAGE.endpoint(
        "qwen_text_to_image",
        "prompt",
        f"{_SIZE} negative_prompt",
        subpath="images/qwen_text_to_image",
        unverified=OFFICIAL_CLIENTS,
    ),
    _ENTERPRISE_TEXT_TO_IMAGE.endpoint(
        "super_resolution",
        "url",
        "scale model_id face_enhance ultra_resolution",
        files=("url",),
        callback_params="webhook",
        page="super-resolution",
    ),
    _ENTERPRISE_TEXT_TO_IMAGE.endpoint(
        "text2img",
        "model_id prompt",
        f"{_LORA} {_SIZE} {_STEPS} {_SAMPLER} {_SAFETY} negative_prompt enhance_prompt "
        "seed panorama self_attention upscale tomesd clip_skip base64 highres_fix temp",
        page="text2img",
    ),
    _ENTERPRISE_REALTIME.endpoint(
        "img2img", "prompt", f"{_COMMON} init_image strength enhance_prompt temp", page="img2img"
    ),
    _ENTERPRISE_REALTIME.endpoint(
        "inpaint",
        "prompt",
        f"{_COMMON} init_image mask_image enhance_prompt strength",
        page="inpaint",
    ),
    _ENTERPRISE_REALTIME.endpoint(
        "text2img", "prompt", f"{_COMMON} enhance_prompt", page="text2img"
    ),
)
