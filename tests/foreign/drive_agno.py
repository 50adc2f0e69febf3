"""Generates one file of each type with the tool of agno, and prints the results as JSON."""

import json
import sys

from agno.models.response import FileType
from agno.tools.models_labs import ModelsLabTools

results = []
for file_type in (FileType.PNG, FileType.MP4, FileType.GIF, FileType.MP3, FileType.WAV):
    tool = ModelsLabTools(api_key="any-key", file_type=file_type)
    # The tool has no argument for its base URL.
    tool.url = tool.url.replace("https://modelslab.com/api", sys.argv[1])
    tool.fetch_url = tool.fetch_url.replace("https://modelslab.com/api", sys.argv[1])
    result = tool.generate_media("a cat")
    media = result.images or result.videos or result.audios or []
    results.append(
        {"call": file_type.value, "status": result.content, "links": [file.url for file in media]}
    )
sys.stdout.write(json.dumps(results) + "\n")
