alter table fetch_log
    drop column corrections,
    drop column unchanged;
