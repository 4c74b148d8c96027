-- The schemas that a registry gave for the ids of records. An id has several rows if a registry was replaced.
create table writer_schema (
    schema_id bigint not null,
    fingerprint text collate "C" not null,
    schema text not null,
    kept_at timestamptz not null,
    primary key (schema_id, fingerprint)
);
