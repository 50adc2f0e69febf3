"""
Mistakes that type checkers must report. It is never run.

Each mistake is excused for both checkers. A checker that does not report one calls its excuse
unused, which is an error, too.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from pathlib import Path

from modelslab_async import Batch, Client
from modelslab_async.requests import (  # type: ignore[attr-defined]
    EndpointName,
    FamilyName,
    image_editing,
    imagez,  # pyright: ignore[reportAttributeAccessIssue]
    realtime,
    voice,
)

imagez.text2img(prompt="x")
realtime.text2imgs(prompt="x")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
realtime.text2img()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
realtime.text2img(prompt=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
realtime.text2img(prompt="x", witdh=512)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
realtime.text2img(prompt="x", width="512")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
realtime.text2img(prompt="x", extra={5: 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
realtime.text2img(prompt=Path("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
image_editing.qwen_edit(prompt="x", init_image=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
voice.vocal_isolator(seed=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
imagez.ticket(13443927)
realtime.ticket(1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
family: FamilyName = "imagez"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
endpoint: EndpointName = "realtime/txt2img"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


async def mistakes(client: Client, batch: Batch) -> None:
    image = realtime.text2img(prompt="x")
    await client.generate(image, timeot=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await client.generate(image, timeout="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.submit(image, seed=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await client.submit(realtime.text2img)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.generate_many([realtime.ticket(1)])  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    await batch.submit(image, seed=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    batch.generate_many([5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
