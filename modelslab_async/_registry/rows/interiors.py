"""Endpoints that redesign rooms and buildings."""

from .endpoint_group import OFFICIAL_CLIENTS, EndpointGroup

_RENDER = "negative_prompt strength base64 num_inference_steps guidance_scale temp seed"
_MIX = "width height guidance_scale num_inference_steps base64"
_SCENARIO = (
    "prompt init_image negative_prompt strength base64 seed guidance_scale num_inference_steps "
    "scenario"
)

_INTERIOR = EndpointGroup(family="interior", root="{base}/v6/interior", docs="interior-api")
_ENTERPRISE_INTERIOR = EndpointGroup(
    family="enterprise_interior",
    root="{base}/v1/enterprise/interior",
    docs="enterprise-api/interior",
)

ROWS = (
    _INTERIOR.endpoint(
        "exterior_restorer",
        "prompt init_image",
        f"{_RENDER} specific_object",
        page="exterior-restorer",
    ),
    _INTERIOR.endpoint(
        "floor_planning", "prompt init_image", f"{_RENDER} specific_object", page="floor-planning"
    ),
    _INTERIOR.endpoint(
        "interior_mixer", "init_image object_image prompt", _MIX, page="interior-mixer"
    ),
    _INTERIOR.endpoint(
        "make", "prompt init_image", f"{_RENDER} scale_down specific_object", page="interior"
    ),
    _INTERIOR.endpoint("object_removal", "init_image object_name", "base64", page="object-removal"),
    _INTERIOR.endpoint(
        "room_decorator", "prompt init_image", f"{_RENDER} specific_object", page="room-decorator"
    ),
    _INTERIOR.endpoint("scenario", "", _SCENARIO),
    _INTERIOR.endpoint(
        "scenario_changer",
        "init_image scenario prompt",
        f"{_RENDER} specific_object",
        page="scenario-changer",
    ),
    _INTERIOR.endpoint(
        "sketch_rendering",
        "prompt init_image",
        f"{_RENDER} specific_object",
        page="sketch-rendering",
    ),
    _ENTERPRISE_INTERIOR.endpoint(
        "exterior_restorer",
        "prompt",
        f"{_RENDER} init_image specific_object",
        page="exterior-restorer",
    ),
    _ENTERPRISE_INTERIOR.endpoint(
        "floor_planning", "prompt", f"{_RENDER} init_image specific_object", page="floor-planning"
    ),
    _ENTERPRISE_INTERIOR.endpoint(
        "interior_mixer", "init_image object_image prompt", _MIX, unverified=OFFICIAL_CLIENTS
    ),
    _ENTERPRISE_INTERIOR.endpoint(
        "make", "prompt", f"{_RENDER} init_image scale_down", page="make-interior"
    ),
    _ENTERPRISE_INTERIOR.endpoint(
        "object_removal", "object_name", "init_image base64", page="object-removal"
    ),
    _ENTERPRISE_INTERIOR.endpoint(
        "room_decorator", "prompt", f"{_RENDER} init_image specific_object", page="room-decorator"
    ),
    _ENTERPRISE_INTERIOR.endpoint("scenario", "", _SCENARIO, unverified=OFFICIAL_CLIENTS),
    _ENTERPRISE_INTERIOR.endpoint(
        "scenario_changer",
        "",
        f"{_RENDER} init_image scenario specific_object",
        page="scenario-changer",
    ),
    _ENTERPRISE_INTERIOR.endpoint(
        "sketch_rendering",
        "prompt",
        f"{_RENDER} init_image specific_object",
        page="sketch-rendering",
    ),
)
