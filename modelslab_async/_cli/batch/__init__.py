"""
The commands of `modelslab-async batch`, which run many tickets with a journal.

They read files of ids or prompts, show the progress of a run and report its result. They write to
the journal only through the class `Batch`.
"""
