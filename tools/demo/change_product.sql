-- pgbench: a new price leaves the long text alone (it is not sent again); now and then the text changes too.
\set product random(1, 1000)
\set cents random(100, 20000)
\set with_text random(1, 10)
BEGIN;
\if :with_text = 1
UPDATE products SET description = description || ' changed ' || clock_timestamp() WHERE id = :product;
\else
UPDATE products SET price = :cents / 100.0 WHERE id = :product;
\endif
UPDATE customers SET profile = profile || jsonb_build_object('seen', :product) WHERE id = :product;
COMMIT;
