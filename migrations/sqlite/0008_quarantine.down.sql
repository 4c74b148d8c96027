drop table parked_record;
drop table quarantine;
