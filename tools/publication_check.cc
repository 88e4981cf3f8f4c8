#include "tools/publication_check.h"

#include <algorithm>
#include <set>

#include "engine/pg_error.h"
#include "engine/publication.h"

namespace teal {
namespace {

using Copied = std::map<TableName, TableCopyState>;

// What the publication as a whole holds back, in words.
std::string options_held_back(const Publication& publication) {
  if (!publication.all_operations) return "does not publish every operation (publish = ...)";
  if (publication.via_root) return "publishes partitions as their root (publish_via_partition_root)";
  if (publication.generated_columns) return "publishes generated columns";
  return "";
}

std::string names_of(const Copied& tables) {
  std::string out;
  for (const auto& [table, state] : tables) out += (out.empty() ? "" : ", ") + to_string(table);
  return out;
}

// A partition alone can be emptied where the target has the same one; its table always.
std::string copy_again(const LinkNames& names, const Copied& tables) {
  std::set<TableName> own;
  std::set<TableName> targets;
  bool parts = false;
  for (const auto& [table, state] : tables) {
    own.insert(table);
    targets.insert(state.target);
    parts = parts || state.is_part(table);
  }
  // The way back copies nothing: what is on blue stays.
  if (names.link == kGreenToBlue) {
    return "compare each on both sides and mend on blue what applications changed on green meanwhile, run on blue "
           "UPDATE teal.table_state SET publication_entry = ''" +
           states_where(names, StatesOf::kTables, own) + "; and start again.";
  }
  std::string way =
      "empty each on the target, run there " + delete_states(names, StatesOf::kTables, own) +
      " and start again: what was emptied is copied (with direction: both empty a table only while nobody "
      "writes to it, and while green's publication lacks it).";
  if (parts) {
    way += " Where the target has no such partition, its whole table instead: TRUNCATE " +
           quoted_list({targets.begin(), targets.end()}) + "; " + delete_states(names, StatesOf::kTargets, targets);
  }
  return way;
}

// How the publication stands to what was copied, table by table.
class Comparison {
 public:
  /// `publication` and `names` outlive it.
  Comparison(const Publication& publication, const LinkNames& names, std::string source)
      : names_(names), source_(std::move(source)) {
    for (const PublishedTable& table : publication.tables) {
      listed_.insert(entry_listing(table.entry));
      add(table);
    }
    for (const PublishedTable& part : publication.parts) add(part);
  }

  void look_at(PgConnection& connection, const TableName& table, const TableCopyState& state) {
    const auto named = by_name_.find(table);
    const PublishedTable* now = named == by_name_.end() ? nullptr : named->second;
    if (now == nullptr && state.state == "detached") return;
    const auto known = by_entry_.find(state.publication_entry);
    if (known != by_entry_.end() && known->second->name != table) refuse_renamed(table, known->second->name);
    if (now != nullptr && state.state != "detached" && now->entry == state.publication_entry) {
      look_at_same(connection, *now, state);
    } else if (now != nullptr && entry_table(now->entry) == entry_table(state.publication_entry) &&
               state.is_part(table) && now->target != state.target) {
      refuse_moved(*now, state.target);
    } else if (now == nullptr && state.is_part(table) && listed_.contains(entry_listing(state.publication_entry))) {
      changes_.gone.push_back(table);  // only while the table that it was part of is still published
    } else {
      missed_.emplace(table, state);
    }
  }

  PublicationChanges result() {
    if (!missed_.empty()) {
      refuse("since the copy, these tables left the publication " + names_.publication() +
             " (and maybe came back), got a filter, or were dropped and made anew, so that changes of them are "
             "missing on the target: " +
             names_of(missed_) + "; take filters and column lists off, then " + copy_again(names_, missed_) +
             " Or run teal finish and start over.");
    }
    if (!unlogged_.empty()) {
      refuse("these partitions are unlogged on " + source_ + " now, and changes of unlogged tables are not sent: " +
             names_of(unlogged_) + "; ALTER TABLE ... SET LOGGED there, then " + copy_again(names_, unlogged_));
    }
    if (!rewritten_.empty()) refuse_rewritten();
    return std::move(changes_);
  }

 private:
  // Of a partition that is listed for itself too, its place in its table counts.
  void add(const PublishedTable& table) {
    by_name_[table.name] = &table;
    by_entry_[table.entry] = &table;
  }

  void look_at_same(PgConnection& connection, const PublishedTable& now, const TableCopyState& state) {
    if (now.filtered) {
      missed_.emplace(now.name, state);
    } else if (!now.logged) {
      unlogged_.emplace(now.name, state);
    } else if (now.target != state.target) {
      refuse_renamed(state.target, now.target);
    } else if (now.is_part() && now.toast != state.toast) {
      if (state.toast.empty() || was_rewritten_for_columns(connection, now.name)) {
        changes_.toast[now.name] = now.toast;
      } else {
        rewritten_.emplace(now.name, state);
      }
    }
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw Stopped(StopCode::kRefused, "link " + names_.link + ": " + why);
  }

  [[noreturn]] void refuse_renamed(const TableName& table, const TableName& now) const {
    refuse(to_string(table) + " has another name on " + source_ + " now, " + to_string(now) +
           ": rename it back, then start again; nothing is lost");
  }

  // Its rows went to the old table until somebody looked, and whose they are cannot be told there.
  [[noreturn]] void refuse_moved(const PublishedTable& part, const TableName& from) const {
    const std::string now = part.is_part() ? "a partition of " + to_string(part.target) : "a table of its own";
    refuse(to_string(part.name) + ", which was a partition of " + to_string(from) + ", is " + now + " on " + source_ +
           " now, and rows that came since may be in " + to_string(from) +
           " on the target: do the same there, then TRUNCATE " + quoted_list({from, part.name}) + "; " +
           delete_states(names_, StatesOf::kTargets, {from}) + " and start again: they are copied");
  }

  [[noreturn]] void refuse_rewritten() const {
    std::set<TableName> own;
    for (const auto& [table, state] : rewritten_) own.insert(table);
    refuse(
        "these partitions were rewritten on " + source_ + ": " + names_of(rewritten_) +
        "; if they were unlogged for a while (ALTER TABLE ... SET UNLOGGED), changes from that time were not sent: " +
        copy_again(names_, rewritten_) +
        " If you know that they were not (pg_repack, SET ACCESS METHOD), say so on the target: UPDATE "
        "teal.table_state SET toast = ''" +
        states_where(names_, StatesOf::kTables, own) + ";");
  }

  const LinkNames& names_;
  std::string source_;
  std::map<TableName, const PublishedTable*> by_name_;
  std::map<std::string, const PublishedTable*> by_entry_;
  std::set<std::string> listed_;  // first parts of entries: what the publication lists
  Copied missed_;
  Copied unlogged_;
  Copied rewritten_;
  PublicationChanges changes_;
};

}  // namespace

PublicationChanges check_publication(PgConnection& source, const LinkNames& names,
                                     const std::map<TableName, TableCopyState>& states) {
  Copied copied;
  for (const auto& [table, state] : states) {
    // One that was noted for the way back and is not published yet has missed nothing.
    const bool noted = state.state == "copied" && state.publication_entry.empty();
    if (!noted && (state.state == "copied" || state.state == "detached")) copied.emplace(table, state);
  }
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
  Comparison comparison(*publication, names, source.label());
  for (const auto& [table, state] : copied) comparison.look_at(source, table, state);
  return comparison.result();
}

}  // namespace teal
