"""Tables of tickets in shards: the outcomes of each become a file. It knows no cluster."""
