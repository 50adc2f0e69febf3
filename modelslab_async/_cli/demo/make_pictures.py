"""Makes two pictures for the demo: submits them, waits for them and saves their files."""

import tempfile
from pathlib import Path

from ... import Client, Downloads, ModelsLabError, Submission, Unsaved

_SUBMISSIONS = (
    Submission("realtime/text2img", {"prompt": "a lighthouse at dusk"}),
    Submission(
        "v7_images/text-to-image", {"model_id": "nano-banana-pro", "prompt": "a fox in the snow"}
    ),
)


async def make_pictures(client: Client, folder: Path | None) -> list[str]:
    """
    Generate pictures and save them.

    Args:
        client: A client of the emulator.
        folder: The folder to save in. None means a new temporary folder.

    Returns:
        For each picture its path, or the reason why it was not saved.
    """
    saved: list[str] = []
    try:
        to = folder or Path(tempfile.mkdtemp(prefix="modelslab-async-demo-"))
        # The emulator's links lead to this machine, so private addresses must be allowed.
        async with Downloads(client, to=to, allow_private=True) as downloads:
            for submission in _SUBMISSIONS:
                result = await downloads.try_save(await client.generate(submission))
                saved += [str(file.path) for file in result.files]
                if isinstance(result, Unsaved):
                    saved.append(f"not saved: {result.cause}")
    except (ModelsLabError, OSError) as error:
        saved.append(f"not saved: {error}")
    return saved
