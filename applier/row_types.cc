#include "applier/row_types.h"

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr const char* kOperation = "look for a row type";

}  // namespace

// With its columns: what has the name may be something else by now.
RowType RowTypes::find(const std::string& name, const std::string& columns) {
  const Rows rows = connection_.exec(kOperation,
                                     "SELECT t.oid, t.typarray FROM pg_type t JOIN pg_namespace n ON n.oid = "
                                     "t.typnamespace WHERE n.nspname = 'teal' AND "
                                     "t.typname = $1 AND t.typtype = 'c' AND (SELECT array_agg(a.atttypid ORDER BY "
                                     "a.attnum) FROM pg_attribute a WHERE "
                                     "a.attrelid = t.typrelid AND a.attnum > 0) = $2::oid[]",
                                     {name, columns});
  if (rows.empty()) return {};
  return {static_cast<std::uint32_t>(rows.integer(0, 0)), static_cast<std::uint32_t>(rows.integer(0, 1))};
}

RowType RowTypes::of(std::span<const std::uint32_t> columns, bool create) {
  std::string list;
  for (const std::uint32_t column : columns) list += (list.empty() ? "{" : ",") + std::to_string(column);
  list += "}";
  const auto known = known_.find(list);
  if (known != known_.end()) return known->second;
  const Rows made = connection_.exec(
      kOperation,
      "SELECT 'row_' || md5($1::text), string_agg(format('c%s %I.%I', i - 1, n.nspname, t.typname), ', ' ORDER "
      "BY i) FROM unnest($1::text::oid[]) WITH ORDINALITY AS u (o, i) JOIN pg_type t ON t.oid = u.o JOIN "
      "pg_namespace n ON n.oid = t.typnamespace",
      {list});
  const std::string name = made.str(0, 0);
  RowType found = find(name, list);
  if (found.type == 0 && create) {
    std::string refusal;
    try {
      connection_.exec("make a row type", "CREATE TYPE teal." + name + " AS (" + made.str(0, 1) + ")");
    } catch (const PgError& error) {
      if (!error.needs_somebody()) throw;
      refusal = error.what();
    }
    // Another link may have been faster. What somebody forbids, a right or an event trigger, is no reason to stop.
    found = find(name, list);
    if (found.type == 0) log_event(LogLevel::kInfo, "row type was not made", {{"type", name}, {"reason", refusal}});
  }
  if (found.type != 0 || create) known_[list] = found;
  return found;
}

}  // namespace teal
