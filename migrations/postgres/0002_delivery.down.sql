drop index dead_letter_dataset;
drop table replay_run;
drop table dead_letter_resolution;
drop table dead_letter_outbox;
drop table sink_gap;
alter table sink_position drop column last_offset, drop column last_fingerprint;
-- Without the column a deleted row would look like one that lost its values.
delete from ohlcv_bar where deleted;
alter table ohlcv_bar
    drop column deleted,
    alter column trading_date set not null,
    alter column close set not null;
delete from observation where deleted;
alter table observation
    drop column deleted;
delete from series where deleted;
alter table series
    drop column deleted,
    alter column title set not null,
    alter column frequency set not null,
    alter column units set not null,
    alter column seasonal_adjustment set not null,
    alter column first_observation_date set not null,
    alter column last_observation_date set not null;
delete from dead_letter where deleted;
alter table dead_letter
    drop column deleted,
    alter column stage set not null,
    alter column error_class set not null,
    alter column reason set not null,
    alter column dataset set not null;
