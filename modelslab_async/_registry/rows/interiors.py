"""Rooms and houses drawn anew."""

from .row_group import Area

_DRAWN = "negative_prompt strength base64 num_inference_steps guidance_scale temp seed"

_INTERIOR = Area(family="interior", root="{base}/v6/interior", docs="interior-api")
_ENTERPRISE_INTERIOR = Area(
    family="enterprise_interior",
    root="{base}/v1/enterprise/interior",
    docs="enterprise-api/interior",
)

ROWS = (
    _INTERIOR.row(
        "exterior_restorer",
        "prompt init_image",
        f"{_DRAWN} specific_object",
        page="exterior-restorer",
    ),
    _INTERIOR.row(
        "floor_planning", "prompt init_image", f"{_DRAWN} specific_object", page="floor-planning"
    ),
    _INTERIOR.row(
        "interior_mixer",
        "init_image object_image prompt",
        "width height guidance_scale num_inference_steps base64",
        page="interior-mixer",
    ),
    _INTERIOR.row(
        "make", "prompt init_image", f"{_DRAWN} scale_down specific_object", page="interior"
    ),
    _INTERIOR.row("object_removal", "init_image object_name", "base64", page="object-removal"),
    _INTERIOR.row(
        "room_decorator", "prompt init_image", f"{_DRAWN} specific_object", page="room-decorator"
    ),
    _INTERIOR.row(
        "scenario",
        "",
        "prompt init_image negative_prompt strength base64 seed guidance_scale "
        "num_inference_steps scenario",
    ),
    _INTERIOR.row(
        "scenario_changer",
        "init_image scenario prompt",
        f"{_DRAWN} specific_object",
        page="scenario-changer",
    ),
    _INTERIOR.row(
        "sketch_rendering",
        "prompt init_image",
        f"{_DRAWN} specific_object",
        page="sketch-rendering",
    ),
    _ENTERPRISE_INTERIOR.row(
        "exterior_restorer",
        "prompt",
        f"{_DRAWN} init_image specific_object",
        page="exterior-restorer",
    ),
    _ENTERPRISE_INTERIOR.row(
        "floor_planning", "prompt", f"{_DRAWN} init_image specific_object", page="floor-planning"
    ),
    _ENTERPRISE_INTERIOR.row(
        "make", "prompt", f"{_DRAWN} init_image scale_down", page="make-interior"
    ),
    _ENTERPRISE_INTERIOR.row(
        "object_removal", "object_name", "init_image base64", page="object-removal"
    ),
    _ENTERPRISE_INTERIOR.row(
        "room_decorator", "prompt", f"{_DRAWN} init_image specific_object", page="room-decorator"
    ),
    _ENTERPRISE_INTERIOR.row(
        "scenario_changer",
        "",
        f"{_DRAWN} init_image scenario specific_object",
        page="scenario-changer",
    ),
    _ENTERPRISE_INTERIOR.row(
        "sketch_rendering",
        "prompt",
        f"{_DRAWN} init_image specific_object",
        page="sketch-rendering",
    ),
)
