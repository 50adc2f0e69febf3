"""
Divides tables of tickets into shards, and writes the outcomes of each shard to a file.

The file of a shard is called its part. No module here knows which kind of cluster does the work.
"""
