drop table sink_origin;
