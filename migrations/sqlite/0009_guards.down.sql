drop table sink_identity;
drop table sink_topic;
drop table sink_halt;
