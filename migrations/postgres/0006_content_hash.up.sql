-- The version of the content hash in each dataset's table. `consumer migrate` hashes the rows of a table with an earlier
-- version, or with none, again.
create table content_hash_version (
    dataset text collate "C" primary key,
    version integer not null,
    since timestamptz not null,
    checked_at timestamptz not null
);
