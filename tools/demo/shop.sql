-- The demo's shop, loaded on blue by its owner: keys and foreign keys, an enum, jsonb, numeric, timestamptz, identity
-- and serial columns, a generated column, and product texts that are long enough to be stored out of line (TOAST).
CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'cancelled');

CREATE TABLE customers (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email      text NOT NULL UNIQUE,
  name       text NOT NULL,
  profile    jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE products (
  id          int PRIMARY KEY,
  name        text NOT NULL,
  price       numeric(10, 2) NOT NULL CHECK (price > 0),
  tags        text[] NOT NULL DEFAULT '{}',
  description text NOT NULL
);
CREATE TABLE stock (
  product_id int PRIMARY KEY REFERENCES products,
  quantity   int NOT NULL,
  checked_at timestamptz
);
CREATE TABLE orders (
  id          bigserial PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers,
  status      order_status NOT NULL DEFAULT 'placed',
  note        text,
  placed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE INDEX orders_to_pay ON orders (id) WHERE status = 'placed';
CREATE TABLE order_items (
  order_id   bigint REFERENCES orders ON DELETE CASCADE,
  line       smallint,
  product_id int NOT NULL REFERENCES products,
  quantity   int NOT NULL,
  price      numeric(10, 2) NOT NULL,
  total      numeric(12, 2) GENERATED ALWAYS AS (quantity * price) STORED,
  PRIMARY KEY (order_id, line)
);
CREATE TABLE payments (
  id       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE,
  amount   numeric(12, 2) NOT NULL,
  receipt  bytea,
  paid_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX payments_by_order ON payments (order_id);

INSERT INTO customers (email, name, profile)
SELECT 'customer' || n || '@shop.example', 'Customer ' || n,
       jsonb_build_object('newsletter', n % 3 = 0, 'city', (ARRAY['Zürich', 'Łódź', 'São Paulo', NULL])[1 + n % 4])
FROM generate_series(1, 20000) AS n;

INSERT INTO products (id, name, price, tags, description)
SELECT n, 'Product ' || n, round((1 + random() * 200)::numeric, 2), ARRAY['tag' || n % 7, 'tag' || n % 11],
       (SELECT string_agg(md5(n || ':' || part), ' ') FROM generate_series(1, 200) AS part)
FROM generate_series(1, 1000) AS n;

INSERT INTO stock (product_id, quantity) SELECT id, 1000 FROM products;

INSERT INTO orders (customer_id, status, note)
SELECT 1 + n % 20000, 'shipped', CASE WHEN n % 5 = 0 THEN E'leave it\tat the "door"\\\n' END
FROM generate_series(1, 30000) AS n;

INSERT INTO order_items (order_id, line, product_id, quantity, price)
SELECT o.id, line, 1 + (o.id * line) % 1000, line, 9.99 FROM orders AS o, generate_series(1, 2) AS line;

INSERT INTO payments (order_id, amount, receipt) SELECT id, 29.97, decode(md5(id::text), 'hex') FROM orders;
