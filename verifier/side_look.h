#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/digest_sql.h"
#include "verifier/finding.h"
#include "verifier/range_compare.h"

namespace teal {

/// The start of a statement on the catalogs: `wanted (i, oid)` are the tables of $1 (schemas) and $2 (names), `parts`
/// the same with all their partitions. `i` counts from 1.
extern const char* const kWantedSql;

/// One side, for looks at what is not rows: the tables that both sides have and that can be read.
/// Threads: one. Errors of its functions: PgError.
class SideLook {
 public:
  /// `tables` has to outlive it.
  SideLook(PgConnection& connection, ComparedOn side, const std::vector<ComparedTable>& tables);

  /// A statement that begins with kWantedSql. `operation` says in words what is read.
  [[nodiscard]] Rows catalog(const std::string& operation, const std::string& sql);
  /// Runs in a transaction that may not write, with these settings.
  [[nodiscard]] Rows read_only(const std::string& operation, const std::string& settings, const std::string& sql);

  [[nodiscard]] const std::string& label() const { return connection_.label(); }
  [[nodiscard]] PgConnection& connection() { return connection_; }
  /// By kWantedSql's number.
  [[nodiscard]] const ComparedTable& table(long long i) const { return *tables_.at(static_cast<std::size_t>(i) - 1); }
  [[nodiscard]] std::size_t count() const { return tables_.size(); }
  /// It is selected, and cannot be read or is not copied yet: the table's own result says so.
  [[nodiscard]] bool left_out(const TableName& name) const;

 private:
  PgConnection& connection_;
  std::vector<const ComparedTable*> tables_;
  std::vector<TableName> left_out_;
  std::string schemas_;  // parameters of kWantedSql
  std::string names_;
};

/// Rows that break a rule, by their keys.
struct BrokenKeys {
  std::vector<std::string> keys;
  bool more = false;
};

struct SettleOptions {
  MarkerPass pass_markers;  ///< empty: no link runs
  std::chrono::milliseconds patience{10'000};
  std::size_t keys_max = 1'000;
};

/// What `read` finds, and finds again after what was on its way between the sides has come: one statement sees whole
/// transactions only, but tables that have just been copied may be ahead of others.
/// `late`: set where markers did not come in time; what was found is then only a guess.
[[nodiscard]] BrokenKeys settled_keys(const SettleOptions& options, const std::function<BrokenKeys()>& read,
                                      bool& late);

}  // namespace teal
