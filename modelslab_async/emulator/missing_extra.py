"""Raises an error at import if the `emulator` extra is missing, and says how to install it."""

try:
    import starlette
    import uvicorn
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f'the emulator needs {missing.name}: pip install "modelslab-async[emulator]", or '
        "pip install starlette uvicorn if you run from a clone",
        name=missing.name,
    ) from missing

__all__ = ["starlette", "uvicorn"]
