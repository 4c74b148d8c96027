-- Why Kafka accepts a dead letter in no form: it stays here, and is not sent again.
alter table dead_letter_outbox add column refused text;
