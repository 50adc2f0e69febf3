"""Endpoints for speech, music and sounds, and for transcripts."""

from .endpoint_group import OFFICIAL_CLIENTS, EndpointGroup

_COVER = (
    "pitch algorithm rate seed language emotion speed radius mix hop_length originality "
    "lead_voice_volume_delta backup_voice_volume_delta instrument_volume_delta "
    "reverb_size wetness dryness damping base64 temp"
)
_FORMAT = "output_format bitrate"
_DUBBING = "source_lang file_prefix voice_id voice_model speed base64 seed"
_SONG = "lyrics_generation lyrics prompt init_audio duration language instrumental caption model_id"

_VOICE = EndpointGroup(
    family="voice", root="{base}/v6/voice", docs="voice-cloning", output=("audio",)
)
_WHISPER = EndpointGroup(family="whisper", root="{base}/v6/whisper")
_V7_VOICE = EndpointGroup(
    family="v7_voice", root="{base}/v7/voice", docs="mcp-web-api", output=("audio",)
)
_ENTERPRISE_VOICE = EndpointGroup(
    family="enterprise_voice",
    root="{base}/v1/enterprise/voice",
    docs="enterprise-api/voice-cloning",
    output=("audio",),
)
_ENTERPRISE_TEXT_TO_SPEECH = EndpointGroup(
    family="enterprise_text_to_speech",
    root="{base}/v1/enterprise/text_to_speech",
    docs="enterprise-api/text-to-speech",
)
_ENTERPRISE_SPEECH_TO_TEXT = EndpointGroup(
    family="enterprise_speech_to_text",
    root="{base}/v1/enterprise/speech_to_text",
    docs="enterprise-api/speech-to-text",
)

ROWS = (
    _VOICE.endpoint(
        "create_dubbing",
        "init_video output_lang",
        _DUBBING,
        page="create-dubbing",
        output=("video",),
    ),
    _VOICE.endpoint(
        "lyrics_generator", "prompt", "length", page="lyrics-generator", output=("text",)
    ),
    _VOICE.endpoint(
        "music_gen",
        "prompt",
        f"{_FORMAT} init_audio duration base64 temp max_new_token sampling_rate",
        page="music-gen",
    ),
    _VOICE.endpoint("sfx", "prompt", f"{_FORMAT} duration temp", page="sfx"),
    _VOICE.endpoint("song_generator", "", _SONG, page="song-generator"),
    _VOICE.endpoint(
        "speech_to_text",
        "",
        "language timestamp_level input_language",
        any_of=(("init_audio", "audio_url"),),
        page="speech-to-text",
        output=("text",),
    ),
    _VOICE.endpoint(
        "text_to_audio",
        "prompt",
        "language speed base64 temp stream",
        any_of=(("init_audio", "voice_id"),),
        page="voice-cloning",
    ),
    _VOICE.endpoint(
        "text_to_speech",
        "prompt voice_id",
        "language speed emotion temp output_format",
        page="text-to-speech",
    ),
    _VOICE.endpoint(
        "vocal_isolator",
        "",
        "base64 seed",
        any_of=(("init_video", "init_audio"),),
        page="vocal-isolator",
    ),
    _VOICE.endpoint("voice_cover", "init_audio model_id", _COVER, page="voice-cover"),
    _VOICE.endpoint("voice_design", "prompt voice_description", "language", page="voice-design"),
    _VOICE.endpoint(
        "voice_to_voice", "init_audio target_audio", "stream base64 temp", page="voice-to-voice"
    ),
    _WHISPER.endpoint("transcribe", "", "init_audio language timestamp_level", output=("text",)),
    _V7_VOICE.endpoint(
        "create-dubbing",
        "target_language",
        "model_id",
        any_of=(("init_audio", "init_video"),),
        page="tools-reference",
    ),
    _V7_VOICE.endpoint("music-gen", "model_id prompt", "duration", page="tools-reference"),
    _V7_VOICE.endpoint(
        "song-extender",
        "init_audio",
        "model_id prompt extend_duration side",
        page="tools-reference",
    ),
    _V7_VOICE.endpoint(
        "song-inpaint", "init_audio", "model_id lyrics sections prompt", page="tools-reference"
    ),
    _V7_VOICE.endpoint(
        "sound-generation", "model_id prompt", "time_in_seconds", page="tools-reference"
    ),
    _V7_VOICE.endpoint(
        "speech-to-speech", "model_id init_audio", "voice_id", page="tools-reference"
    ),
    _V7_VOICE.endpoint(
        "speech-to-text", "model_id init_audio", page="tools-reference", output=("text",)
    ),
    _V7_VOICE.endpoint(
        "text-to-speech",
        "model_id",
        "voice_id temperature language",
        any_of=(("prompt", "text"),),
        page="tools-reference",
    ),
    _ENTERPRISE_VOICE.endpoint(
        "create_dubbing",
        "init_video output_lang",
        _DUBBING,
        unverified=OFFICIAL_CLIENTS,
        output=("video",),
    ),
    _ENTERPRISE_VOICE.endpoint(
        "lyrics_generator", "prompt", "length", unverified=OFFICIAL_CLIENTS, output=("text",)
    ),
    _ENTERPRISE_VOICE.endpoint(
        "music_gen",
        "prompt",
        f"{_FORMAT} init_audio sampling_rate max_new_token base64 temp",
        page="music-gen",
    ),
    _ENTERPRISE_VOICE.endpoint("sfx", "prompt", f"{_FORMAT} duration temp", page="sfx"),
    _ENTERPRISE_VOICE.endpoint("song_generator", "", _SONG, unverified=OFFICIAL_CLIENTS),
    _ENTERPRISE_VOICE.endpoint(
        "speech_to_text",
        "",
        "language timestamp_level input_language",
        # The documentation calls this parameter `init_audio`, but the official Python client calls
        # it `audio_url`.
        any_of=(("init_audio", "audio_url"),),
        page="speech-to-text",
        output=("text",),
    ),
    _ENTERPRISE_VOICE.endpoint(
        "text_to_audio",
        "prompt",
        "init_audio voice_id language emotion base64 temp",
        page="text-to-audio",
    ),
    _ENTERPRISE_VOICE.endpoint(
        "text_to_speech",
        "prompt",
        "voice_id language speed emotion temp output_format",
        unverified=OFFICIAL_CLIENTS,
    ),
    _ENTERPRISE_VOICE.endpoint("voice_cover", "init_audio model_id", _COVER, page="voice-cover"),
    _ENTERPRISE_VOICE.endpoint(
        "voice_to_voice", "init_audio target_audio", "base64 temp", page="voice-to-voice"
    ),
    _ENTERPRISE_TEXT_TO_SPEECH.endpoint(
        "make", "voice_id", "prompt language speed emotion temp", page="text-to-speech"
    ),
    _ENTERPRISE_SPEECH_TO_TEXT.endpoint(
        "transcribe",
        "init_audio",
        "language timestamp_level",
        page="speech-to-text",
        output=("text",),
    ),
)
