"""
Divides tables of tickets into shards, and writes the outcomes of each shard to a file.

A shard is a group of tickets from one table. The file with the outcomes of a shard is called its
part. The modules in this package work with any kind of cluster.
"""
