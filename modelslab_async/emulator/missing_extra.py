"""Fails at import with the command to run where the `emulator` extra is not installed."""

try:
    import starlette
    import uvicorn
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f'the emulator needs {missing.name}: pip install "modelslab-async[emulator]"',
        name=missing.name,
    ) from missing

__all__ = ["starlette", "uvicorn"]
