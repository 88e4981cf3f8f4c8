#include "applier/key_shapes.h"

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "decoder/transaction.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

class KeyShapes {
 public:
  KeyShapes(OpenSource open_source, FindVersionColumn version_column)
      : open_source_(std::move(open_source)), version_column_(std::move(version_column)) {}

  std::optional<KeyShape> find(const Relation& relation) {
    try {
      return read(relation);
    } catch (const PgError&) {
      source_.reset();
      throw;
    }
  }

 private:
  // With REPLICA IDENTITY FULL every column is announced as identity; the target finds its rows by the primary key.
  // One that was dropped since has no rows that could be in anybody's way.
  std::optional<KeyShape> read(const Relation& relation) {
    if (!source_) source_.emplace(open_source_());
    const Rows rows = source_->exec(
        "look up the key of " + relation.schema + "." + relation.name,
        "SELECT n.nspname, r.relname, a.attname, CASE WHEN c.relispartition THEN (SELECT count(*) FROM "
        "pg_partition_tree(r.oid) p WHERE p.isleaf) ELSE 1 END FROM pg_class c JOIN pg_class r ON r.oid = CASE WHEN "
        "c.relispartition "
        "THEN pg_partition_root(c.oid)::oid ELSE c.oid END JOIN pg_namespace n ON n.oid = r.relnamespace LEFT JOIN "
        "(pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid) ON i.indrelid = c.oid AND i.indisprimary WHERE "
        "c.oid = $1",
        {std::to_string(relation.id.value)});
    if (rows.empty()) return std::nullopt;
    const TableName table{rows.str(0, 0), rows.str(0, 1)};
    std::vector<std::string> key;
    if (relation.replica_identity == ReplicaIdentity::kFull) {
      for (int i = 0; i < rows.size(); ++i) {
        if (!rows.is_null(i, 2)) key.push_back(rows.str(i, 2));
      }
    } else {
      for (const Column& column : relation.columns) {
        if (column.identity) key.push_back(column.name);
      }
    }
    KeyShape shape = shape_of(relation, table, key);
    shape.parts = static_cast<std::size_t>(rows.integer(0, 3));
    return shape;
  }

  KeyShape shape_of(const Relation& relation, const TableName& table, const std::vector<std::string>& key) {
    const std::string name = to_string(table);
    if (key.empty()) {
      throw Stopped(StopCode::kRefused,
                    "table " + name + " has no key by which its rows are known on both sides: " +
                        "ALTER TABLE ... ADD PRIMARY KEY on both, or leave it out of the migration");
    }
    try {
      return make_key_shape(relation, table.schema, table.name, key, version_column_(table));
    } catch (const std::invalid_argument& error) {
      throw Stopped(StopCode::kRefused, "table " + name + ": " + error.what());
    }
  }

  OpenSource open_source_;
  FindVersionColumn version_column_;
  std::optional<PgConnection> source_;
};

}  // namespace

FindKeyShape find_key_shapes(OpenSource open_source, FindVersionColumn version_column) {
  return [shapes = std::make_shared<KeyShapes>(std::move(open_source), std::move(version_column))](
             const Relation& relation) { return shapes->find(relation); };
}

}  // namespace teal
