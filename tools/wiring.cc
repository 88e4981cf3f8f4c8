#include "tools/wiring.h"

#include <random>
#include <utility>
#include <vector>

#include "applier/applier.h"
#include "applier/careful_tables.h"
#include "applier/origin_session.h"
#include "applier/progress_row.h"
#include "applier/target_session.h"
#include "engine/binary_types.h"
#include "engine/failpoint.h"
#include "engine/pg_error.h"
#include "tools/link_facts.h"
#include "tools/open_transactions.h"
#include "tools/two_sides.h"

namespace teal {
namespace {

constexpr int kOldestBinary = 14;  // pgoutput's option

bool source_is_blue(const LinkNames& names) { return names.link == kBlueToGreen; }

ConnectOptions source_connect(const Config& config, const LinkNames& names, const std::string& role) {
  return connect_options(config, source_is_blue(names), role);
}

ConnectOptions target_connect(const Config& config, const LinkNames& names, const std::string& role) {
  return connect_options(config, !source_is_blue(names), role);
}

StreamOptions stream_options(const Config& config, const LinkNames& names) {
  StreamOptions stream;
  stream.connect = source_connect(config, names, names.link);
  stream.connect.replication = true;
  stream.link = names.link;
  stream.slot = names.slot();
  stream.publications = {names.publication(), names.control_publication()};
  return stream;
}

// Binary where every published column's type allows it: a stream has one form for all.
BinaryForm choose_form(PgConnection& source, const LinkNames& names, int target_major) {
  const int major = source.server_major();
  if (major < kOldestBinary) return {};
  const Rows unsafe = source.exec(
      "look whether values can travel in binary form",
      "SELECT EXISTS (SELECT FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname JOIN "
      "pg_class "
      "c ON c.relnamespace = n.oid AND c.relname = t.tablename JOIN pg_attribute a ON a.attrelid = c.oid WHERE "
      "t.pubname IN ($1, $2) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.atttypid <> ALL "
      "($3::oid[]))",
      {names.publication(), names.control_publication(), binary_safe_types(major, target_major)});
  return {!unsafe.boolean(0, 0), major};
}

// The first eight digits of a WAL file's name; pg_control_checkpoint() is behind for a while after a promotion.
unsigned read_timeline(PgConnection& source) {
  const Rows rows = source.exec("ask " + source.label() + " for its timeline",
                                "SELECT CASE WHEN NOT pg_is_in_recovery() THEN ('x' || "
                                "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END");
  if (rows.is_null(0, 0)) {
    throw PgError("ask " + source.label() + " for its timeline", "it is a standby at this moment", "57P03");
  }
  return static_cast<unsigned>(rows.integer(0, 0));
}

// What the target holds of the source's log that its stream has not come to: copied rows, and rows that were read from
// the source (or were deleted there) for a conflict. A source that was promoted without that is not the same.
std::vector<LogPosition> read_watermarks(PgConnection& target, const LinkNames& names, unsigned timeline) {
  const Rows rows = target.exec("read the newest watermarks",
                                "SELECT max(watermark), source_timeline FROM teal.table_state WHERE migration = $1 AND "
                                "link = $2 AND state IN ('copied', 'detached') GROUP BY source_timeline",
                                {names.migration, names.link});
  std::vector<LogPosition> watermarks;
  watermarks.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    watermarks.push_back({parse_lsn(rows.at(i, 0)).value_or(Lsn{}), static_cast<unsigned>(rows.integer(i, 1))});
  }
  const Rows read = target.exec("read up to where rows were read from the source",
                                "SELECT max(as_of) FROM teal.fetched_key WHERE migration = $1 AND link = $2",
                                {names.migration, names.link});
  if (!read.is_null(0, 0)) watermarks.push_back({parse_lsn(read.at(0, 0)).value_or(Lsn{}), timeline});
  return watermarks;
}

// A session without an origin, whose commits are flushed before they are answered.
PgConnection open_fence(const ConnectOptions& connect, const std::stop_token& abort) {
  PgConnection connection = PgConnection::connect(connect);
  connection.set_stop_token(abort);
  const Rows set = connection.exec("set synchronous_commit", "SELECT set_config('synchronous_commit', 'local', false)");
  if (set.at(0, 0) != "local") throw Stopped(StopCode::kRefused, "synchronous_commit could not be set to local");
  return connection;
}

ConflictGuardOptions guard_options(const Config& config, const LinkNames& names, TwoSides& sides) {
  ConflictGuardOptions options;
  options.sides = {TwoSides::source_side(names), &sides.source_of(names), &sides.target_of(names),
                   [&config](const TableName& table) { return config.conflicts.policy_of(table); }};
  options.names = names;
  options.logs_rows = [&config](const TableName& table) { return config.conflicts.logs_rows_of(table); };
  return options;
}

// One form for both links: what cannot be binary in one of them is text in both.
BinaryForm choose_common_form(PgConnection& source, const LinkNames& names, int target_major, bool text_needed,
                              TwoSides& sides) {
  if (!sides.binary()) return {};
  const BinaryForm form = text_needed ? BinaryForm{} : choose_form(source, names, target_major);
  if (form.on) return form;
  sides.need_text();
  throw PgError("choose how values are sent", "they are sent as text from now on, in both directions", "57P03");
}

SinkFactory sink_factory(const Config& config, const LinkNames& names, TwoSides* sides, ChangedKeys* changed) {
  ApplierOptions options;
  options.changed_keys = changed;
  options.names = names;
  options.batch_rows_max = sides == nullptr ? config.apply.batch_rows_max : config.apply.two_way_batch_rows;
  options.batch_bytes_max = config.apply.batch_bytes_max;
  if (sides != nullptr) options.conflicts = guard_options(config, names, *sides);
  TargetSessionOptions session{.connect = target_connect(config, names, names.link), .origin = names.origin()};
  if (sides != nullptr) session.lock_timeout = config.apply.lock_timeout;
  // Outlives each sink: a table that has to be applied in source order stays known over reconnects.
  auto careful = std::make_shared<CarefulTables>();
  return [options, session, careful, sides, &config](const std::stop_token& abort) mutable {
    PgConnection connection = open_target_session(session, abort);
    TEAL_FAILPOINT("origin_acquired");
    options.open_source = [connect = source_connect(config, options.names, options.names.link), abort] {
      PgConnection source = PgConnection::connect(connect);
      source.set_stop_token(abort);
      return source;
    };
    PgConnection source = options.open_source();
    ProgressRow row = read_progress(connection, options.names.migration, options.names.link);
    TEAL_FAILPOINT("progress_read");
    const int target_major = connection.server_major();
    if (sides != nullptr) {
      options.conflicts->open_source = options.open_source;
      options.binary = choose_common_form(source, options.names, target_major, careful->text_needed(), *sides);
      options.conflicts->open_target = [connect = target_connect(config, options.names, options.names.link + "-fence"),
                                        abort] { return open_fence(connect, abort); };
      sides->source_of(options.names).begin_session(row.held, row.held_time, row.held_seen);
    } else {
      options.binary = careful->text_needed() ? BinaryForm{} : choose_form(source, options.names, target_major);
    }
    StreamStart start{row.held, row.source_system_id, row.source_timeline, read_timeline(source), options.binary.on,
                      {}};
    start.copied = read_watermarks(connection, options.names, row.source_timeline);
    start.last_commit = row.last_commit;
    row.source_timeline = start.timeline_now;
    return OpenedSink{std::make_unique<Applier>(options, std::move(connection), std::move(row), careful),
                      std::move(start)};
  };
}

}  // namespace

bool values_can_be_binary(const Config& config, const LinkNames& names) {
  PgConnection source = PgConnection::connect(source_connect(config, names, "run"));
  PgConnection target = PgConnection::connect(target_connect(config, names, "run"));
  return choose_form(source, names, target.server_major()).on;
}

std::unique_ptr<Link> make_link(const Config& config, const LinkNames& names, TwoSides* sides, ChangedKeys* changed) {
  LinkOptions options;
  options.core.name = names.link;
  options.core.seed = std::random_device()();
  options.stream = stream_options(config, names);
  options.reader.link = names.link;
  options.reader.own_origin_prefix = names.own_origin_prefix();
  options.reader.spool = {config.apply.spill_dir, config.apply.spill_bytes_max};
  if (sides != nullptr) options.reader.observer = &sides->source_of(names);
  // With conflicts to decide, a transaction's commit time has to be known, and its rows must not be locked before.
  options.reader.ahead = sides == nullptr;
  options.queue_bytes_max = config.apply.queue_bytes_max;
  return std::make_unique<Link>(std::move(options), sink_factory(config, names, sides, changed));
}

InitialCopyOptions make_copy_options(const Config& config, const LinkNames& names) {
  InitialCopyOptions options;
  options.names = names;
  options.source = source_connect(config, names, "copy");
  options.target = target_connect(config, names, "copy");
  options.snapshot.connect = source_connect(config, names, "copy");
  options.snapshot.connect.replication = true;
  options.snapshot.slot_prefix = names.copy_slot();
  options.snapshot.on_wait = [source = options.source](int waiting_pid) { return tell_blockers(source, waiting_pid); };
  options.jobs = config.copy.jobs;
  options.split_larger_than = config.copy.split_larger_than;
  options.frozen = config.copy.schema;
  return options;
}

JoinOptions make_join_options(const Config& config, const LinkNames& names) {
  JoinOptions options;
  options.names = names;
  options.source = source_connect(config, names, "join");
  options.target = target_connect(config, names, "join");
  options.snapshot = make_copy_options(config, names).snapshot;
  options.publications = {names.publication()};
  return options;
}

}  // namespace teal
