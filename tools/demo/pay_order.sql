-- pgbench: pays the oldest order that nobody else is paying.
BEGIN;
WITH paid AS (
  UPDATE orders SET status = 'paid'
  WHERE id = (SELECT id FROM orders WHERE status = 'placed' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING id)
INSERT INTO payments (order_id, amount, receipt)
  SELECT i.order_id, sum(i.total), decode(md5(i.order_id::text), 'hex')
  FROM paid JOIN order_items AS i ON i.order_id = paid.id GROUP BY i.order_id;
COMMIT;
