-- pgbench: an order with two items; products in ascending order, so that no two clients wait for each other in a circle.
\set customer random(1, 20000)
\set first random(1, 500)
\set second random(501, 1000)
\set count random(1, 5)
BEGIN;
INSERT INTO orders (customer_id, note) VALUES (:customer, 'order of ' || :count) RETURNING id AS order_id \gset
INSERT INTO order_items (order_id, line, product_id, quantity, price)
  SELECT :order_id, 1, id, :count, price FROM products WHERE id = :first
  UNION ALL SELECT :order_id, 2, id, 1, price FROM products WHERE id = :second;
UPDATE stock SET quantity = quantity - :count WHERE product_id = :first;
UPDATE stock SET quantity = quantity - 1 WHERE product_id = :second;
COMMIT;
