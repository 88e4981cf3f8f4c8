-- pgbench: deletes the oldest order; items and payments go with it.
DELETE FROM orders WHERE id = (SELECT id FROM orders ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED);
