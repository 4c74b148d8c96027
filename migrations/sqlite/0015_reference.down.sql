alter table exchange drop column closes_at;
alter table exchange drop column opens_at;
alter table exchange drop column mic;
drop table industry;
drop table sector;
