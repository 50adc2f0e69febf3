"""
The commands of `modelslab-async batch`, which run many tickets with a journal.

The folder reads files of ids, shows the progress of a run and reports its result. It never writes
to a journal except through `Batch`.
"""
