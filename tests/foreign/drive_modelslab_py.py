"""Submits and fetches with the official Python client, and prints the results as JSON."""

import json
import sys

from modelslab_py.core.apis.audio import Audio
from modelslab_py.core.apis.community import Community
from modelslab_py.core.apis.realtime import Realtime
from modelslab_py.core.apis.video import Video
from modelslab_py.core.client import Client
from modelslab_py.schemas.audio import Speech2Text, Text2Speech
from modelslab_py.schemas.community import QwenText2Image, Text2Image
from modelslab_py.schemas.realtime import RealtimeText2ImageSchema
from modelslab_py.schemas.video import Text2Video, Text2VideoUltra

client = Client(api_key="any-key", fetch_retry=60, fetch_timeout=1)
# The client has no argument for its base URL.
client.base_url = f"{sys.argv[1]}/"

calls = [
    (Community(client), "text_to_image", Text2Image(prompt="a cat", model_id="flux")),
    (Realtime(client), "text_to_image", RealtimeText2ImageSchema(prompt="a cat")),
    (Audio(client), "text_to_speech", Text2Speech(prompt="hello", voice_id="madison")),
    (Audio(client), "speech_to_text", Speech2Text(audio_url="https://me.example/a.wav")),
    (Video(client), "text_to_video", Text2Video(prompt="a cat", model_id="wan", output_type="mp4")),
    (Video(client, enterprise=True), "text_to_video_ultra", Text2VideoUltra(prompt="a cat")),
    (
        Audio(client, enterprise=True),
        "speech_to_text",
        Speech2Text(audio_url="https://me.example/a.wav"),
    ),
    (Community(client, enterprise=True), "qwen_text_to_image", QwenText2Image(prompt="a cat")),
]
results = []
for api, name, schema in calls:
    reply = getattr(api, name)(schema)
    if reply["status"] == "processing":
        reply = api.fetch(str(reply["id"]))
    results.append({"call": name, "status": reply["status"], "links": reply["output"]})
sys.stdout.write(json.dumps(results) + "\n")
