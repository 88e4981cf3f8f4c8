#include "applier/index_plan.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string_view>
#include <utility>

namespace teal {
namespace {

constexpr std::uint32_t kPgClass = 1259;
constexpr std::uint32_t kPgConstraint = 2606;

// What a process and a transaction of their own are worth: so many bytes to read, or such a share of what a job does.
constexpr std::uint64_t kLeastBytes = 16U << 20U;
constexpr std::uint64_t kSharesOfAJob = 16;
// Of small tables: bounds the locks of one transaction.
constexpr std::size_t kGatheredEntries = 200;

// Cuts a number off the front; 0 when there is none.
std::uint32_t take_number(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == ';')) text.remove_prefix(1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{} ? number : 0;
}

constexpr const char* kIndexes =
    "SELECT i.indexrelid, coalesce(k.oid, 0), i.indrelid, i.indisunique OR i.indisexclusion, k.oid IS NOT NULL OR "
    "i.indisreplident OR i.indisclustered, c.relpages * current_setting('block_size')::bigint, format('%I.%I %I.%I %s "
    "%s %s (%s)', n.nspname, c.relname, m.nspname, "
    "t.relname, k.contype, i.indisunique, i.indpred IS NULL, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY "
    "a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid)) FROM pg_index i JOIN pg_class c ON c.oid = "
    "i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = i.indrelid JOIN "
    "pg_namespace m ON m.oid = t.relnamespace LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = "
    "i.indrelid AND k.contype IN ('p', 'u', 'x') WHERE t.relkind = 'r' AND i.indisvalid AND m.nspname <> "
    "'information_schema' AND m.nspname !~ '^pg_'";

// What is to be made for one table.
struct TableEntry {
  DumpEntry entry;
  bool exclusive = false;
  std::uint64_t weight = 0;
};

std::uint64_t weight_of(const std::vector<TableEntry>& entries) {
  std::uint64_t weight = 0;
  for (const TableEntry& one : entries) weight += one.weight;
  return weight;
}

// The units of one table: what needs it for itself is one.
std::vector<IndexUnit> units_of(std::uint32_t table, const std::vector<TableEntry>& entries) {
  IndexUnit exclusive{table, true, weight_of(entries), {}};
  std::vector<IndexUnit> units;
  for (const TableEntry& one : entries) {
    if (one.exclusive) {
      exclusive.entries.push_back(one.entry);
    } else {
      units.push_back({table, false, one.weight, {one.entry}});
    }
  }
  if (!exclusive.entries.empty()) units.push_back(std::move(exclusive));
  return units;
}

}  // namespace

std::vector<DumpEntry> parse_contents(const std::string& listed) {
  std::vector<DumpEntry> entries;
  std::istringstream lines(listed);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == ';') continue;
    std::string_view rest = line;
    take_number(rest);  // its number in the dump
    const std::uint32_t catalog = take_number(rest);
    const std::uint32_t oid = take_number(rest);
    entries.push_back({line, entries.size(), catalog, oid});
  }
  return entries;
}

std::vector<IndexFacts> read_indexes(PgConnection& connection) {
  const Rows rows = connection.exec("list the indexes on " + connection.label(), kIndexes);
  std::vector<IndexFacts> indexes;
  indexes.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    indexes.push_back({static_cast<std::uint32_t>(rows.integer(i, 0)), static_cast<std::uint32_t>(rows.integer(i, 1)),
                       static_cast<std::uint32_t>(rows.integer(i, 2)), rows.boolean(i, 3), rows.boolean(i, 4),
                       static_cast<std::uint64_t>(rows.integer(i, 5)), rows.str(i, 6)});
  }
  return indexes;
}

std::set<std::string> read_index_likenesses(PgConnection& connection) {
  std::set<std::string> likenesses;
  for (IndexFacts& index : read_indexes(connection)) likenesses.insert(std::move(index.likeness));
  return likenesses;
}

IndexPlan plan_indexes(const std::vector<DumpEntry>& contents, const std::vector<IndexFacts>& indexes,
                       const std::set<std::string>& present, const PostDataOptions& options) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, const IndexFacts*> known;
  for (const IndexFacts& index : indexes) {
    known[index.constraint == 0 ? std::pair{kPgClass, index.index} : std::pair{kPgConstraint, index.constraint}] =
        &index;
  }
  IndexPlan plan;
  std::map<std::uint32_t, std::vector<TableEntry>> tables;
  const auto bytes_of = [&](std::uint32_t table) {
    const auto found = options.table_bytes.find(table);
    return found == options.table_bytes.end() ? 0 : found->second;
  };
  for (const DumpEntry& entry : contents) {
    const auto found = known.find({entry.catalog, entry.oid});
    if (found == known.end()) {
      plan.rest.push_back(entry);
      continue;
    }
    const IndexFacts& index = *found->second;
    if (present.contains(index.likeness)) continue;
    if (options.apart && !(index.unique && index.table == options.held_back)) {
      tables[index.table].push_back({entry, index.exclusive, bytes_of(index.table) + index.bytes});
    } else {
      plan.rest.push_back(entry);
    }
  }
  std::uint64_t all = 0;
  for (const auto& [table, entries] : tables) all += weight_of(entries);
  const std::uint64_t share = std::max(kLeastBytes, all / kSharesOfAJob / static_cast<std::uint64_t>(options.jobs));
  IndexUnit gathered;
  for (const auto& [table, entries] : tables) {
    const std::uint64_t weight = weight_of(entries);
    if (weight >= share) {
      std::vector<IndexUnit> units = units_of(table, entries);
      std::move(units.begin(), units.end(), std::back_inserter(plan.units));
      continue;
    }
    for (const TableEntry& one : entries) gathered.entries.push_back(one.entry);
    gathered.weight += weight;
    if (gathered.weight < share && gathered.entries.size() < kGatheredEntries) continue;
    plan.units.push_back(std::exchange(gathered, {}));
  }
  if (!gathered.entries.empty()) plan.units.push_back(std::move(gathered));
  for (IndexUnit& unit : plan.units) {
    std::sort(unit.entries.begin(), unit.entries.end(),
              [](const DumpEntry& a, const DumpEntry& b) { return a.place < b.place; });
  }
  std::sort(plan.units.begin(), plan.units.end(), [](const IndexUnit& a, const IndexUnit& b) {
    return std::pair(b.weight, a.entries.front().place) < std::pair(a.weight, b.entries.front().place);
  });
  return plan;
}

}  // namespace teal
