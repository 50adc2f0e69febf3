"""The command `modelslab-async demo`."""
