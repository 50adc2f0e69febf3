"""Faces swapped in pictures and films, by the new name of the family and by the older one."""

from ..endpoint import Endpoint
from .row_group import Area

_FACESWAP = Area(family="faceswap", root="{base}/v6/faceswap", docs="faceswap-api")
_DEEPFAKE = Area(family="deepfake", root="{base}/v6/deepfake", docs="faceswap-api")
_ENTERPRISE = Area(
    family="enterprise_faceswap",
    root="{base}/v1/enterprise/faceswap",
    docs="enterprise-api/faceswap",
)


def _swaps(area: Area, *, pictures: str, films: str, note: str = "") -> tuple[Endpoint, ...]:
    films = f"output_format {films}"
    return (
        area.row(
            "multiple_face_swap",
            "init_image target_image",
            pictures,
            page="multiple-face-swap",
            output=("image",),
            note=note,
        ),
        area.row(
            "single_face_swap",
            "init_image target_image reference_image",
            pictures,
            page="specific-face-swap",
            output=("image",),
            note=note,
        ),
        area.row(
            "single_video_swap",
            "init_image init_video",
            films,
            page="single-video-swap",
            output=("video",),
            note=note,
        ),
        area.row(
            "specific_video_swap",
            "init_image init_video reference_image",
            films,
            page="specific-video-swap",
            output=("video",),
            note=note,
        ),
    )


ROWS = (
    *_swaps(_FACESWAP, pictures="watermark base64", films="watermark"),
    *_swaps(
        _DEEPFAKE,
        pictures="watermark",
        films="watermark",
        note="The older name of faceswap, which SDKs still use.",
    ),
    *_swaps(
        _ENTERPRISE,
        pictures="watermark watermark_image base64",
        films="watermark watermark_image",
    ),
)
