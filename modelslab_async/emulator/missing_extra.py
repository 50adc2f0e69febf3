"""Extra: what the emulator needs beside the package. Where it is missing, this says what to do."""

try:
    import starlette
    import uvicorn
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f'the emulator needs {missing.name}: pip install "modelslab-async[emulator]"',
        name=missing.name,
    ) from missing

__all__ = ["starlette", "uvicorn"]
