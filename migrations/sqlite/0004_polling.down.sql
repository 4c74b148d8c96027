alter table fetch_log drop column corrections;
alter table fetch_log drop column unchanged;
