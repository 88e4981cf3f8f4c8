#include "applier/fetched_keys.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::size_t kHexDigits = 16;

std::string hex(std::uint64_t value) {
  std::string text(kHexDigits, '0');
  std::array<char, kHexDigits> digits{};
  const auto* end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  const auto count = static_cast<std::size_t>(end - digits.data());
  return text.replace(kHexDigits - count, count, digits.data(), count);
}

std::string hex(const KeyHash& key) { return hex(key.high) + hex(key.low); }

std::uint64_t number_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() != kHexDigits)
    throw Stopped(StopCode::kBug, "teal.fetched_key holds a key that cannot be read");
  return value;
}

void check_count(const Rows& rows, std::uint64_t expected) {
  const auto touched = static_cast<std::uint64_t>(rows.affected());
  if (touched == expected) return;
  throw Stopped(StopCode::kBug, "teal.fetched_key: " + std::to_string(touched) + " rows were touched instead of " +
                                    std::to_string(expected) + "; nothing was committed; please report this");
}

}  // namespace

void FetchedKeys::read(PgConnection& target) {
  const Rows rows = target.exec("read which rows were read from the source",
                                "SELECT key_hash, left_out, as_of, table_name FROM teal.fetched_key WHERE migration = "
                                "$1 AND link = $2",
                                {names_.migration, names_.link});
  for (int i = 0; i < rows.size(); ++i) {
    const std::string_view key = rows.at(i, 0);
    const auto as_of = parse_lsn(rows.at(i, 2));
    if (!as_of) throw Stopped(StopCode::kBug, "teal.fetched_key holds an LSN that cannot be read");
    committed_[{number_of(key.substr(0, kHexDigits)), number_of(key.substr(kHexDigits))}] = {rows.boolean(i, 1), *as_of,
                                                                                             rows.str(i, 3)};
  }
}

void FetchedKeys::begin(bool open) {
  if (!open) written_ = committed_;
  planned_ = written_;
}

const FetchedKey* FetchedKeys::find(const KeyHash& key) const {
  const auto found = planned_.find(key);
  return found == planned_.end() ? nullptr : &found->second;
}

void FetchedKeys::write(PgConnection& target, Lsn applied) {
  boost::unordered::erase_if(planned_, [&](const auto& one) { return one.second.as_of <= applied; });
  std::string gone;
  std::string added;
  std::uint64_t gone_count = 0;
  std::uint64_t added_count = 0;
  for (const auto& [key, fetched] : written_) {
    if (planned_.contains(key)) continue;
    gone += (gone.empty() ? "" : ",") + hex(key);
    ++gone_count;
  }
  for (const auto& [key, fetched] : planned_) {
    const auto known = written_.find(key);
    if (known != written_.end() && known->second == fetched) continue;
    added += (added.empty() ? "('" : ", ('") + hex(key) + "', " + (fetched.left_out ? "true" : "false") + ", '" +
             to_string(fetched.as_of) + "'::pg_lsn, " + quote_literal(fetched.table) + ")";
    ++added_count;
  }
  if (!gone.empty()) {
    const Rows rows =
        target.exec("forget rows that were read from the source",
                    "DELETE FROM teal.fetched_key WHERE migration = $1 AND link = $2 AND key_hash = ANY ($3::text[])",
                    {names_.migration, names_.link, "{" + gone + "}"});
    check_count(rows, gone_count);
  }
  if (!added.empty()) {
    const Rows rows = target.exec(
        "note rows that were read from the source",
        "INSERT INTO teal.fetched_key (migration, link, key_hash, left_out, as_of, table_name) SELECT $1, $2, "
        "v.* FROM (VALUES " +
            added +
            ") AS v ON CONFLICT (migration, link, key_hash) DO UPDATE SET left_out = excluded.left_out, as_of "
            "= excluded.as_of",
        {names_.migration, names_.link});
    check_count(rows, added_count);
  }
  written_ = planned_;
}

}  // namespace teal
