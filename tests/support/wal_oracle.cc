#include "tests/support/wal_oracle.h"

#include <stdexcept>
#include <utility>

#include "engine/time_text.h"
#include "tests/support/pgoutput_builder.h"
#include "tests/support/test_decoding_text.h"

namespace teal::test {
namespace {

constexpr const char* kPins =
    "SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET extra_float_digits = 3; "
    "SET bytea_output = 'hex'; SET xmloption = 'content'; SET lc_monetary = 'C'; SET client_encoding = 'UTF8'; "
    "SET quote_all_identifiers = off; SET standard_conforming_strings = on; SET search_path = ''";
constexpr std::size_t kSliceBytesMax = 16 << 10;  // small, so that large transactions come in several

Lsn lsn_of(const SqlValue& text) {
  const std::optional<Lsn> lsn = parse_lsn(text.value());
  if (!lsn) throw std::runtime_error("not an LSN: " + *text);
  return *lsn;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  throw std::runtime_error("no hexadecimal digit in a bytea");
}

/// A bytea as SQL shows it: \x6a...
Bytes bytes_of(std::string_view text) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) throw std::runtime_error("not a bytea in hexadecimal form");
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 2; i < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(hex_digit(text[i]) * 16 + hex_digit(text[i + 1])));
  }
  return bytes;
}

std::string op_name(ChangeOp op) {
  switch (op) {
    case ChangeOp::kInsert:
      return "INSERT";
    case ChangeOp::kUpdate:
      return "UPDATE";
    case ChangeOp::kDelete:
      return "DELETE";
    case ChangeOp::kTruncate:
      break;
  }
  return "TRUNCATE";
}

// test_decoding shows a key and a whole row alike, so this is not in the comparison (TRAPS C3).
void check_key_image(const Relation& relation, TupleView key) {
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (relation.columns[i].identity ? !key[i].has_value() : key[i].kind != ColumnKind::kNull) {
      throw std::runtime_error("the old key of " + relation.name + " is not exactly its identity: column " +
                               relation.columns[i].name);
    }
  }
}

}  // namespace

int newest_protocol(int major) { return major <= 13 ? 1 : major == 14 ? 2 : major == 15 ? 3 : 4; }

void replay_slot(Sql& sql, std::string_view slot, std::string_view publication, WalOracleOptions options,
                 StreamReplay& replay) {
  std::string query = "SELECT lsn, data FROM pg_logical_slot_peek_binary_changes(" + sql_text(slot) +
                      ", NULL, NULL, 'publication_names', " + sql_text(publication) + ", 'proto_version', '" +
                      std::to_string(options.protocol) + "'";
  if (options.protocol >= 2) query += options.parallel ? ", 'streaming', 'parallel'" : ", 'streaming', 'on'";
  if (options.two_phase) query += ", 'two_phase', 'on'";
  if (options.immediate) sql.exec("SET debug_logical_replication_streaming = immediate");
  for (const SqlRow& row : sql.rows(query + ")")) replay.add(lsn_of(row.at(0)), bytes_of(row.at(1).value()));
  if (options.immediate) sql.exec("RESET debug_logical_replication_streaming");
  if (!replay.at_rest()) throw std::runtime_error("a transaction has no end");
}

WalOracle::WalOracle(Sql& sql, WalOracleOptions options) : sql_(sql), options_(options) {
  sql_.exec(kPins);
  // In this order: what a slot's decoding can't find in the catalogs of the time, it can never find.
  sql_.exec("CREATE PUBLICATION wal_oracle FOR ALL TABLES");
  sql_.exec("SELECT pg_create_logical_replication_slot('wal_oracle_text', 'test_decoding')");
  sql_.exec(options_.two_phase
                ? "SELECT pg_create_logical_replication_slot('wal_oracle_teal', 'pgoutput', false, true)"
                : "SELECT pg_copy_logical_replication_slot('wal_oracle_text', 'wal_oracle_teal', false, 'pgoutput')");
}

testing::AssertionResult WalOracle::agree() {
  const DecodedWal expected = decode_by_test_decoding();
  wal_ = decode_by_teal();
  if (wal_.empty()) return testing::AssertionFailure() << "nothing was decoded";
  const std::string difference = first_difference(wal_, expected, "teal         ", "test_decoding");
  if (difference.empty()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << difference;
}

std::size_t WalOracle::old_images(OldTupleKind kind) const {
  const auto found = old_images_.find(kind);
  return found == old_images_.end() ? 0 : found->second;
}

DecodedWal WalOracle::decode_by_test_decoding() {
  std::vector<TestDecodingRow> rows;
  // With less, a server of 18.6 crashes in test_decoding on transactions that were rolled back.
  const std::string memory = sql_.value("SHOW logical_decoding_work_mem");
  sql_.exec("SET logical_decoding_work_mem = '1GB'");
  for (SqlRow& row : sql_.rows("SELECT lsn, data FROM pg_logical_slot_peek_changes('wal_oracle_text', NULL, NULL, "
                               "'include-xids', '1', 'include-timestamp', '1')")) {
    rows.push_back({lsn_of(row.at(0)), *std::move(row.at(1))});
  }
  sql_.exec("SET logical_decoding_work_mem = " + sql_text(memory));
  return parse_test_decoding(rows);
}

DecodedWal WalOracle::decode_by_teal() {
  empty_transactions_ = unchanged_columns_ = 0;
  old_images_.clear();
  DecodedWal wal;
  DecodedTransaction open;
  StreamReplay replay(options_.protocol, AssemblerOptions{.own_origin_prefix = "", .slice_bytes_max = kSliceBytesMax},
                      [&](const TransactionSlice& slice) {
                        add_slice(slice, open);
                        if (slice.last && open.changes.empty()) ++empty_transactions_;
                        if (slice.last && !open.changes.empty()) wal.push_back(std::exchange(open, {}));
                      });
  replay_slot(sql_, "wal_oracle_teal", "wal_oracle", options_, replay);
  streamed_ = replay.counts();
  return wal;
}

void WalOracle::add_slice(const TransactionSlice& slice, DecodedTransaction& open) {
  if (slice.first) {
    open = DecodedTransaction{};
    open.xid = slice.facts.xid;
    open.commit_time = to_string(slice.facts.commit_time);
  }
  for (const Change& change : slice.changes) open.changes.push_back(decoded(change));
  open.end_lsn = slice.end_lsn;
}

DecodedChange WalOracle::decoded(const Change& change) {
  DecodedChange out;
  out.lsn = change.lsn;
  out.op = op_name(change.op);
  if (change.op == ChangeOp::kTruncate) {
    for (const Relation* table : change.truncated) out.tables.push_back(decoded_table(table->schema, table->name));
    out.cascade = (change.truncate_flags & kTruncateCascade) != 0;
    out.restart_identity = (change.truncate_flags & kTruncateRestartIdentity) != 0;
    return out;
  }
  out.tables.push_back(decoded_table(change.relation->schema, change.relation->name));
  ++old_images_[change.old_kind];
  if (change.old_kind != OldTupleKind::kNone) out.old_row = decoded(*change.relation, change.old_tuple, true);
  if (change.old_kind == OldTupleKind::kKey) check_key_image(*change.relation, change.old_tuple);
  if (change.op != ChangeOp::kDelete) out.new_row = decoded(*change.relation, change.new_tuple, false);
  return out;
}

std::vector<DecodedColumn> WalOracle::decoded(const Relation& relation, TupleView tuple, bool old_row) {
  std::vector<DecodedColumn> columns;
  for (std::size_t i = 0; i < tuple.size(); ++i) {
    const ColumnValue& value = tuple[i];
    if (old_row && value.kind == ColumnKind::kNull) continue;
    if (value.kind == ColumnKind::kUnchangedToast) ++unchanged_columns_;
    const Column& column = relation.columns[i];
    columns.push_back({column.name, type_name(column.type), value.kind,
                       value.has_value() ? std::string(value.text()) : std::string()});
  }
  return columns;
}

const std::string& WalOracle::type_name(TypeId type) {
  const auto found = types_.find(type);
  if (found != types_.end()) return found->second;
  return types_[type] = sql_.value("SELECT format_type(" + std::to_string(type.value) + ", NULL)");
}

}  // namespace teal::test
