drop table writer_schema;
