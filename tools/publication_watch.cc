#include "tools/publication_watch.h"

#include <algorithm>
#include <set>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kAnswerWithin{10'000};

// In place of an entry: a partition that left its table. If it comes back, changes in between are missing.
constexpr const char* kDetached = "detached";

// See PublishedTable::entry.
bool is_part(const std::string& entry) { return std::count(entry.begin(), entry.end(), '/') == 2; }

// What the publication as a whole holds back, in words.
std::string options_held_back(const Publication& publication) {
  if (!publication.all_operations) return "does not publish every operation (publish = ...)";
  if (publication.via_root) return "publishes partitions as their root (publish_via_partition_root)";
  if (publication.generated_columns) return "publishes generated columns";
  return "";
}

}  // namespace

std::vector<TableName> check_publication(PgConnection& source, const LinkNames& names,
                                         const std::map<TableName, std::string>& copied) {
  if (copied.empty()) return {};
  const std::string name = names.publication();
  const std::optional<Publication> publication = read_publication(source, name);
  if (!publication) {
    throw Stopped(StopCode::kRefused, "link " + names.link + ": the publication " + name + " on " + source.label() +
                                          " is gone, and changes that were made without it are never sent: end this "
                                          "migration with teal finish, then start over");
  }
  if (const std::string held_back = options_held_back(*publication); !held_back.empty()) {
    throw Stopped(StopCode::kRefused,
                  "link " + names.link + ": the publication " + name + " was altered since the copy: it " + held_back +
                      ", and what it held back is never sent; set it back, then end this migration with teal finish "
                      "and start over, unless you know that nothing was changed meanwhile");
  }
  std::map<TableName, std::string> entries;
  std::map<std::string, TableName> names_now;  // by entry
  std::set<std::string> listed;                // first parts of entries: what the publication lists
  for (const PublishedTable& table : publication->tables) {
    listed.insert(table.entry.substr(0, table.entry.find('/')));
    if (!table.filtered) entries[table.name] = table.entry;
    names_now[table.entry] = table.name;
  }
  for (const PublishedTable& part : publication->parts) {
    entries[part.name] = part.entry;
    names_now[part.entry] = part.name;
  }
  std::string missed;
  std::vector<TableName> gone;
  for (const auto& [table, entry] : copied) {
    const auto found = entries.find(table);
    if (found != entries.end() && found->second == entry) continue;
    if (found == entries.end() && entry == kDetached) continue;
    const auto renamed = names_now.find(entry);
    if (renamed != names_now.end() && renamed->second != table) {
      throw Stopped(StopCode::kRefused, "link " + names.link + ": " + to_string(table) + " has another name on " +
                                            source.label() + " now, " + to_string(renamed->second) +
                                            ": rename it back, then start again; nothing is lost");
    }
    // A partition is gone only while the table that it was part of is still published.
    if (found == entries.end() && is_part(entry) && listed.contains(entry.substr(0, entry.find('/')))) {
      gone.push_back(table);
      continue;
    }
    missed += (missed.empty() ? "" : ", ") + to_string(table);
  }
  if (missed.empty()) return gone;
  throw Stopped(StopCode::kRefused,
                "link " + names.link + ": since the copy, these tables left the publication " + name +
                    " (and maybe came back), got a filter, or were dropped and made anew, so that changes of them are "
                    "missing on the target: " +
                    missed +
                    "; empty each on the target, delete its row from teal.table_state there, and teal run copies it "
                    "again; or run teal finish and start over");
}

PublicationWatch::PublicationWatch(const Config& config, const LinkNames& names) : names_(names) {
  const bool blue = names.link == kBlueToGreen;
  source_connect_ = connect_options(config, blue, "run");
  source_connect_.answer_within = kAnswerWithin;
  target_connect_ = connect_options(config, !blue, "run");
  target_connect_.answer_within = kAnswerWithin;
}

bool PublicationWatch::check() {
  try {
    if (!source_) source_ = PgConnection::connect(source_connect_);
    if (!target_) target_ = PgConnection::connect(target_connect_);
    // First what was copied: a table that joins meanwhile is looked at the next time.
    std::map<TableName, std::string> copied;
    for (const auto& [table, state] : read_table_states(*target_, names_)) {
      if (state.state == "copied") copied[table] = state.publication_entry;
      if (state.state == "detached") copied[table] = kDetached;
    }
    for (const TableName& table : check_publication(*source_, names_, copied)) {
      const Rows noted = target_->exec(
          "note that a partition left its table",
          "UPDATE teal.table_state SET state = 'detached' WHERE migration = $1 AND link = $2 AND schema_name = "
          "$3 AND table_name = $4 AND state = 'copied'",
          {names_.migration, names_.link, table.schema, table.name});
      if (noted.affected() != 1) continue;
      log_event(LogLevel::kWarn,
                "partition left its table on the source: once the link has no lag, do the same on the target, which "
                "keeps the rows",
                {{"link", names_.link}, {"table", to_string(table)}});
    }
    return true;
  } catch (const PgError& error) {
    source_.reset();
    target_.reset();
    if (error.error_class() == ErrorClass::kStop) throw;
    if (error.error_class() == ErrorClass::kRights) {
      log_event(LogLevel::kWarn, "looking at the publication failed",
                {{"link", names_.link}, {"reason", error.what()}});
    }
    return false;
  }
}

}  // namespace teal
