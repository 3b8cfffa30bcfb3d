"""Where videos lie that are not files of their own: in shards, on disk or in a bucket, and files in a bucket."""
