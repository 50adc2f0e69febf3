"""The base URLs of the service's two hosts. Reads no environment variable."""

BASE_URL = "https://modelslab.com/api"
LEGACY_BASE_URL = "https://stablediffusionapi.com/api"
