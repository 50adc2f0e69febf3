"""Endpoints that swap faces in images and videos, under the names `faceswap` and `deepfake`."""

from typing import Any

from ..endpoint import Endpoint
from .endpoint_group import OFFICIAL_CLIENTS, EndpointGroup

_FACESWAP = EndpointGroup(family="faceswap", root="{base}/v6/faceswap", docs="faceswap-api")
_DEEPFAKE = EndpointGroup(family="deepfake", root="{base}/v6/deepfake", docs="faceswap-api")
_ENTERPRISE = EndpointGroup(
    family="enterprise_faceswap",
    root="{base}/v1/enterprise/faceswap",
    docs="enterprise-api/faceswap",
)
_ENTERPRISE_DEEPFAKE = EndpointGroup(
    family="enterprise_deepfake", root="{base}/v1/enterprise/deepfake"
)


def _face_swaps(
    group: EndpointGroup, *, image_options: str, video_options: str, **overrides: Any
) -> tuple[Endpoint, ...]:
    video_options = f"output_format {video_options}"
    return (
        group.endpoint(
            "multiple_face_swap",
            "init_image target_image",
            image_options,
            page="multiple-face-swap",
            output=("image",),
            **overrides,
        ),
        group.endpoint(
            "single_face_swap",
            "init_image target_image reference_image",
            image_options,
            page="specific-face-swap",
            output=("image",),
            **overrides,
        ),
        group.endpoint(
            "single_video_swap",
            "init_image init_video",
            video_options,
            page="single-video-swap",
            output=("video",),
            **overrides,
        ),
        group.endpoint(
            "specific_video_swap",
            "init_image init_video reference_image",
            video_options,
            page="specific-video-swap",
            output=("video",),
            **overrides,
        ),
    )


ROWS = (
    *_face_swaps(_FACESWAP, image_options="watermark base64", video_options="watermark"),
    *_face_swaps(
        _DEEPFAKE,
        image_options="watermark",
        video_options="watermark",
        note="This is an older name of an endpoint in `faceswap`. SDKs still use it.",
    ),
    *_face_swaps(
        _ENTERPRISE,
        image_options="watermark watermark_image base64",
        video_options="watermark watermark_image",
    ),
    *_face_swaps(
        _ENTERPRISE_DEEPFAKE,
        image_options="watermark",
        video_options="watermark",
        unverified=OFFICIAL_CLIENTS,
    ),
)
