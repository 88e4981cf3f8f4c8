#include "tools/publication_watch.h"

#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "tools/departed_partitions.h"
#include "tools/link_facts.h"
#include "tools/publication_check.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kAnswerWithin{10'000};

}  // namespace

PublicationWatch::PublicationWatch(const Config& config, const LinkNames& names, std::stop_token stop)
    : names_(names), stop_(std::move(stop)) {
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
    source_->set_stop_token(stop_);
    target_->set_stop_token(stop_);
    // First what was copied: a table that joins meanwhile is looked at the next time.
    std::map<TableName, TableCopyState> states = read_table_states(*target_, names_);
    const PublicationChanges changes = check_publication(*source_, names_, states);
    for (const auto& [table, toast] : changes.toast) note_toast(table, toast);
    for (const TableName& table : changes.gone) {
      note_gone(table);
      states[table].state = "detached";
    }
    settle_departed(*source_, *target_, names_, states);
    return true;
  } catch (const PgError& error) {
    source_.reset();
    target_.reset();
    if (stop_.stop_requested()) return false;
    if (error.error_class() == ErrorClass::kStop) throw;
    if (error.error_class() == ErrorClass::kRights) {
      log_event(LogLevel::kWarn, "looking at the publication failed",
                {{"link", names_.link}, {"reason", error.what()}});
    }
    return false;
  }
}

void PublicationWatch::note_toast(const TableName& table, const std::string& toast) {
  const Rows noted = target_->exec(
      "note that a partition was rewritten",
      "UPDATE teal.table_state SET toast = $1" + states_where(names_, StatesOf::kTables, {table}), {toast});
  if (noted.affected() == 1) return;
  throw Stopped(StopCode::kRefused, "link " + names_.link + ": the row of " + to_string(table) +
                                        " in teal.table_state went while it was looked at: start again");
}

void PublicationWatch::note_gone(const TableName& table) {
  const Rows noted = target_->exec("note that a partition left its table",
                                   "UPDATE teal.table_state SET state = 'detached'" +
                                       states_where(names_, StatesOf::kTables, {table}) + " AND state = 'copied'");
  if (noted.affected() != 1) return;
  log_event(LogLevel::kWarn,
            "partition left its table on the source: once the link has no lag, do the same on the target, which "
            "keeps the rows",
            {{"link", names_.link}, {"table", to_string(table)}});
}

}  // namespace teal
