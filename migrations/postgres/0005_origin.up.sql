-- The Kafka cluster that fills this database. Records of another one would be mixed with them, and their offsets mean
-- something else.
create table sink_origin (
    number integer primary key check (number = 1),
    cluster_id text collate "C" not null,
    noticed_at timestamptz not null
);
