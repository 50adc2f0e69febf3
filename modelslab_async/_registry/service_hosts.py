"""The base URLs of the two hosts of the service. It reads no environment."""

BASE_URL = "https://modelslab.com/api"
LEGACY_BASE_URL = "https://stablediffusionapi.com/api"
