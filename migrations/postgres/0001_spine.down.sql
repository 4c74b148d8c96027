-- One by one: TimescaleDB does not drop a hypertable together with other tables.
drop table dead_letter;
drop table series;
drop table observation;
drop table ohlcv_bar;
drop table sink_chunk;
drop table sink_position;
