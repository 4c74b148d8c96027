drop table content_hash_version;
