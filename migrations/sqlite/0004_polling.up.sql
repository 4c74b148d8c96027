-- What a poll brought: corrections of what was published before, and records that said the same.
alter table fetch_log add column corrections integer check (corrections >= 0);
alter table fetch_log add column unchanged integer check (unchanged >= 0);
