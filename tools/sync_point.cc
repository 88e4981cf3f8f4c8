#include "tools/sync_point.h"

#include "engine/log.h"
#include "engine/pg_error.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kAnswerWithin{10'000};

}  // namespace

SyncPoint::SyncPoint(const Config& config, const LinkNames& names) : names_(names) {
  const bool blue = names.link == kBlueToGreen;
  target_connect_ = connect_options(config, !blue, "run");
  target_connect_.answer_within = kAnswerWithin;
  ConnectOptions source_connect = connect_options(config, blue, "run");
  source_connect.answer_within = kAnswerWithin;
  source_ = std::make_unique<PgConnection>(PgConnection::connect(source_connect));
  const Rows marker =
      source_->exec("insert a marker", "INSERT INTO teal.marker (migration, link) VALUES ($1, $2) RETURNING id",
                    {names.migration, names.link});
  id_ = marker.str(0, 0);
}

// A comparison makes one for each of its rounds. What came after somebody had given up goes with a later one's answer.
SyncPoint::~SyncPoint() {
  if (!source_) return;
  forget(*source_, "teal.marker WHERE migration = $1 AND link = $2 AND id = $3::bigint");
  if (target_) {
    forget(
        *target_,
        "teal.marker_applied WHERE migration = $1 AND link = $2 AND (id = $3::bigint OR applied_at < now() - interval "
        "'1 day')");
  }
}

// One that stays is in nobody's way.
void SyncPoint::forget(PgConnection& side, const std::string& from) const {
  try {
    if (side.usable()) side.exec("delete a marker", "DELETE FROM " + from, {names_.migration, names_.link, id_});
  } catch (const std::exception& error) {
    log_event(LogLevel::kDebug, "a marker is left", {{"reason", error.what()}});
  }
}

void SyncPoint::look() {
  if (!target_) target_ = PgConnection::connect(target_connect_);
  if (!insert_lsn_.empty()) return;
  const Rows seen = target_->exec("look for the marker",
                                  "SELECT pg_current_wal_insert_lsn() FROM teal.marker_applied WHERE migration = $1 "
                                  "AND link = $2 AND id = $3::bigint",
                                  {names_.migration, names_.link, id_});
  if (!seen.empty()) insert_lsn_ = seen.str(0, 0);
}

bool SyncPoint::applied() {
  return ask([this] {
    look();
    return !insert_lsn_.empty();
  });
}

bool SyncPoint::reached() {
  return ask([this] {
    look();
    if (insert_lsn_.empty()) return false;
    const Rows durable = target_->exec("look whether the marker is durable",
                                       "SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn", {insert_lsn_});
    return durable.boolean(0, 0);
  });
}

bool SyncPoint::ask(const std::function<bool()>& question) {
  try {
    return question();
  } catch (const PgError& error) {
    if (error.needs_somebody()) throw;
    target_.reset();
    insert_lsn_.clear();
    return false;
  }
}

}  // namespace teal
