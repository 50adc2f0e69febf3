"""Endpoints that make videos from text, images or videos."""

from .endpoint_group import OFFICIAL_CLIENTS, PUBLIC_CLIENTS, EndpointGroup

_SIZE = "height width num_frames"
_UPSCALE = (
    "upscale_height upscale_width upscale_strength upscale_guidance_scale "
    "upscale_num_inference_steps use_improved_sampling improved_sampling_seed"
)
_ULTRA = (
    "negative_prompt seed resolution num_frames num_inference_steps guidance_scale fps "
    "portrait sample_shift temp"
)
_MOTION = "min_guidance_scale max_guidance_scale motion_bucket_id noise_aug_strength"

_VIDEO = EndpointGroup(family="video", root="{base}/v6/video", docs="video-api")
_V7_VIDEO_FUSION = EndpointGroup(
    family="v7_video_fusion", root="{base}/v7/video-fusion", docs="mcp-web-api"
)
_ENTERPRISE_VIDEO = EndpointGroup(
    family="enterprise_video", root="{base}/v1/enterprise/video", docs="enterprise-api/video"
)
_ENTERPRISE_IMAGE_TO_VIDEO_ULTRA = EndpointGroup(
    family="enterprise_image_to_video_ultra",
    root="{base}/v1/enterprise/image_to_video_ultra",
    docs="enterprise-api/image-to-video-ultra",
)
_ENTERPRISE_ULTRA_VIDEO = EndpointGroup(
    family="enterprise_ultra_video",
    root="{base}/v1/enterprise/ultra_video",
    docs="enterprise-api/text-to-video-ultra",
)

ROWS = (
    _VIDEO.endpoint(
        "img2video",
        "model_id init_image",
        f"{_SIZE} {_MOTION} prompt negative_prompt num_inference_steps fps output_type "
        "temp seed guidance_scale",
        page="img-to-video",
    ),
    _VIDEO.endpoint(
        "img2video_ultra",
        "prompt init_image",
        f"{_ULTRA} model_id base64",
        page="image-to-video-ultra",
    ),
    _VIDEO.endpoint(
        "kling",
        "",
        "prompt negative_prompt duration aspect_ratio mode",
        unverified=PUBLIC_CLIENTS,
    ),
    _VIDEO.endpoint("kling-3", "", "prompt image_url duration motion", unverified=PUBLIC_CLIENTS),
    _VIDEO.endpoint(
        "kling_motion_control",
        "",
        "prompt init_image motion_video duration motion_mode",
        unverified=PUBLIC_CLIENTS,
    ),
    _VIDEO.endpoint(
        "scene_maker",
        "scenes prompt",
        f"{_SIZE} negative_prompt seed num_inference_steps guidance_scale stg_scale "
        "stg_rescale frame_rate temp",
        callback_params="",
        note="The service withdrew this endpoint in January 2026.",
    ),
    _VIDEO.endpoint(
        "text2video",
        "model_id prompt",
        f"{_SIZE} {_UPSCALE} negative_prompt seed num_inference_steps guidance_scale "
        "clip_skip fps output_type instant_response temp",
        page="text-to-video",
    ),
    _VIDEO.endpoint(
        "text2video_ultra", "prompt", f"{_ULTRA} model_id shift_sample", page="text-to-video-ultra"
    ),
    _VIDEO.endpoint(
        "video2video",
        "init_image init_video",
        "to_animate resolution num_inference_steps seed base64",
        page="video-to-video",
    ),
    _VIDEO.endpoint("watermark_remover", "init_video", page="watermark-remover"),
    _V7_VIDEO_FUSION.endpoint(
        "image-to-video",
        "model_id init_image",
        "init_audio prompt duration negative_prompt aspect_ratio resolution portrait",
        page="tools-reference",
    ),
    _V7_VIDEO_FUSION.endpoint("lip-sync", "model_id init_video init_audio", page="tools-reference"),
    _V7_VIDEO_FUSION.endpoint(
        "motion-control",
        "model_id init_image",
        "init_video character_orientation prompt mode keep_original_sound",
        page="tools-reference",
    ),
    _V7_VIDEO_FUSION.endpoint(
        "text-to-video",
        "model_id prompt",
        "init_audio enhance_prompt generate_audio aspect_ratio resolution camera_fixed "
        "duration negative_prompt width height fps portrait",
        page="tools-reference",
    ),
    _V7_VIDEO_FUSION.endpoint(
        "video-to-video",
        "model_id init_video prompt",
        "aspect_ratio public_figure_threshold init_image negative_prompt duration seed",
        page="tools-reference",
    ),
    _ENTERPRISE_VIDEO.endpoint(
        "img2video",
        "model_id",
        f"{_SIZE} {_MOTION} negative_prompt enhance_prompt init_image "
        "num_inference_steps fps output_type latent_interpolation_method clip_skip "
        "instant_response temp",
        page="img-to-video",
    ),
    _ENTERPRISE_VIDEO.endpoint(
        "text2video",
        "model_id prompt",
        f"{_SIZE} {_UPSCALE} negative_prompt seed num_inference_steps guidance_scale "
        "clip_skip fps output_type instant_response temp",
        callback_params="webhook",
        page="text-to-video",
    ),
    _ENTERPRISE_VIDEO.endpoint(
        "text2video_ultra",
        "prompt",
        f"{_ULTRA} model_id shift_sample",
        unverified=OFFICIAL_CLIENTS,
    ),
    _ENTERPRISE_VIDEO.endpoint("watermark_remover", "init_video", unverified=OFFICIAL_CLIENTS),
    _ENTERPRISE_IMAGE_TO_VIDEO_ULTRA.endpoint(
        "img2video", "prompt init_image", f"{_ULTRA}", page="imagetovideo"
    ),
    _ENTERPRISE_ULTRA_VIDEO.endpoint(
        "text2video", "prompt", f"{_ULTRA} shift_sample", page="text-to-video-ultra"
    ),
)
