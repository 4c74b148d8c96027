alter table exchange
    drop column closes_at,
    drop column opens_at,
    drop column mic;
drop table industry;
drop table sector;
