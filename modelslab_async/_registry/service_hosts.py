"""The base URLs of the service's two hosts, which a client uses by default."""

BASE_URL = "https://modelslab.com/api"
LEGACY_BASE_URL = "https://stablediffusionapi.com/api"
