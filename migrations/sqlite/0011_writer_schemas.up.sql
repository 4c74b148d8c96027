-- The schemas that a registry gave for the ids of records. An id has several rows if a registry was replaced.
create table writer_schema (
    schema_id integer not null,
    fingerprint text not null,
    schema text not null,
    kept_at text not null,
    primary key (schema_id, fingerprint)
) strict, without rowid;
