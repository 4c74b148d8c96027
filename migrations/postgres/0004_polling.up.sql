-- What a poll brought: corrections of what was published before, and records that said the same.
alter table fetch_log
    add column corrections bigint check (corrections >= 0),
    add column unchanged bigint check (unchanged >= 0);
