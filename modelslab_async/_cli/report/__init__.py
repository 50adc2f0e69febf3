"""The command `modelslab-async batch report`."""
