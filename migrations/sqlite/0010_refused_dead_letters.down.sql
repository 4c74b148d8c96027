alter table dead_letter_outbox drop column refused;
