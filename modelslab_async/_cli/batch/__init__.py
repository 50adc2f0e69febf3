"""The commands of `modelslab-async batch`."""
