#include "tools/cutover_checks.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "engine/catalog_columns.h"
#include "engine/pg_error.h"
#include "tools/cutover_hooks.h"
#include "tools/cutover_journal.h"
#include "tools/link_facts.h"
#include "tools/marker_round.h"
#include "tools/sequence_sync.h"
#include "tools/status_report.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// What was seen of the steps that cannot be tried: closing and sealing the fence, and a pooler's way to another server.
constexpr double kFenceMs = 15;
constexpr double kPoolerMs = 25;
constexpr std::size_t kNamedTablesMost = 5;

std::string seconds_text(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", seconds);
  return text.data();
}

class Checks {
 public:
  Checks(const CutoverPlan& plan, CutoverSides& sides, const std::stop_token& stop)
      : plan_(plan), sides_(sides), stop_(stop) {}

  CutoverFindings run(bool unverified) {
    check_links();
    if (!unverified) check_verified();
    check_one_sided();
    check_transactions();
    check_rights();
    check_applications();
    check_hooks();
    // Those move on what has to stand before.
    if (found_.obstacles.empty()) check_markers();
    check_sequences();
    check_poolers();
    note_other_slots();
    note_target_writers();
    return std::move(found_);
  }

 private:
  void obstacle(const std::string& text) { found_.obstacles.push_back(text); }
  void note(const std::string& text) { found_.notes.push_back(text); }

  void check_links();
  void check_link(const LinkStatus& link);
  void check_verified();
  void check_one_sided();
  void check_transactions();
  void check_prepared();
  void check_rights();
  void check_applications();
  void check_hooks();
  void check_markers();
  void check_sequences();
  void check_poolers();
  void check_led_to(std::size_t number);
  void note_other_slots();
  void note_target_writers();

  const CutoverPlan& plan_;
  CutoverSides& sides_;
  const std::stop_token& stop_;
  CutoverFindings found_;
  std::vector<LinkStatus> links_;
};

void Checks::check_links() {
  links_ = read_links(plan_.config, sides_.blue(), sides_.green());
  std::set<std::string> seen;
  for (const LinkStatus& link : links_) {
    seen.insert(link.link);
    if (plan_.way_back || link.link == plan_.forward().link) check_link(link);
  }
  if (!seen.contains(plan_.forward().link)) {
    obstacle("no link leads from " + plan_.from() + " to " + plan_.to + ": set direction: both, and start teal run");
  } else if (plan_.way_back && !seen.contains(plan_.forward().reverse().link)) {
    obstacle("no link leads back from " + plan_.to + " to " + plan_.from() +
             ": set direction: both and start teal run, or say --no-way-back: what is written on " + plan_.to +
             " is then on " + plan_.to + " alone");
  }
}

void Checks::check_link(const LinkStatus& link) {
  if (link.phase != "streaming") {
    obstacle("link " + link.link + " is " + link.phase +
             ", not streaming: start teal run, or see its log and teal status");
  }
  if (const std::int64_t open = link.quarantine.open(); open > 0) {
    obstacle("link " + link.link + " has " + std::to_string(open) + " quarantined changes: teal quarantine list");
  }
  for (const TableStatus& table : link.tables) {
    if (table.copy.state == "pending")
      obstacle("table " + to_string(table.name) + " is not copied yet: see teal status");
  }
  if (link.slot && (link.slot->wal_status == "lost" || link.slot->wal_status == "unreserved")) {
    obstacle("the slot of link " + link.link + " is " + link.slot->wal_status + ": raise max_slot_wal_keep_size on " +
             link.source);
  }
  if (plan_.fence && link.conflicts.applied + link.conflicts.kept > 0) {
    note("link " + link.link + " has met " + std::to_string(link.conflicts.applied + link.conflicts.kept) +
         " conflicts, which there are only where both sides are written: teal conflicts stats");
  }
}

void Checks::check_verified() {
  const std::optional<LastVerify> last = read_verify_of(links_, plan_.config.name, sides_.green());
  const std::string mend = ": run teal verify, or say --unverified";
  if (!last || last->tables.empty()) return obstacle("the sides were never compared" + mend);
  for (const KeptVerdict& table : last->tables) {
    if (table.verdict == TableVerdict::kDiffers) {
      obstacle("table " + to_string(table.table) + " differed when it was compared last" + mend);
    } else if (table.verdict == TableVerdict::kUnchecked) {
      obstacle("table " + to_string(table.table) + " was not fully checked when it was compared last" + mend);
    }
  }
  for (const TableName& table : last->never) obstacle("table " + to_string(table) + " was never compared" + mend);
  const auto most = std::chrono::duration<double>(plan_.config.verify.max_age).count();
  if (last->age_seconds() > most) {
    obstacle("the last comparison began " + seconds_text(last->age_seconds()) +
             " ago, more than verify.max_age allows" + mend);
  }
}

// Not even with --unverified: rows that are there alone would be lost.
void Checks::check_one_sided() {
  const CutoverHistory history = read_cutovers(sides_.blue(), sides_.green(), plan_.config.name);
  if (!history.one_sided_seconds || !plan_.way_back) return;
  const std::optional<LastVerify> last = read_verify_of(links_, plan_.config.name, sides_.green());
  const bool compared = last && !last->tables.empty() && last->never.empty() &&
                        last->verdict() == TableVerdict::kEqual && last->age_seconds() < *history.one_sided_seconds;
  if (compared) return;
  obstacle("the writes were moved without a way back " + seconds_text(*history.one_sided_seconds) +
           " ago, and what was written until a link led back is on " + history.writes_on +
           " alone: teal verify has to find both sides equal since then; teal verify --repair " + history.writes_on +
           " brings the rows");
}

// They hold the pooler's pause and the fence up for as long as they take.
void Checks::check_transactions() {
  const double most = std::chrono::duration<double>(plan_.limits.pause_budget).count();
  const Rows rows = sides_.left().exec(
      "look for long transactions on " + plan_.from(),
      "SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, ''), extract(epoch FROM "
      "clock_timestamp() - xact_start)::float8, left(coalesce(query, ''), 200), backend_xid IS NOT NULL OR state LIKE "
      "'idle in transaction%' FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client "
      "backend' AND pid <> pg_backend_pid() AND NOT starts_with(application_name, 'teal/') AND xact_start < "
      "clock_timestamp() - make_interval(secs => $1::float8) ORDER BY xact_start",
      {std::to_string(most)});
  for (int i = 0; i < rows.size(); ++i) {
    const std::string who = "session " + rows.str(i, 0) + " on " + plan_.from() + " (user " + rows.str(i, 1) +
                            ", application " + rows.str(i, 2) + ") has been in a transaction for " +
                            seconds_text(std::stod(rows.str(i, 4))) + ", " + rows.str(i, 3) + ": " + rows.str(i, 5);
    if (!rows.boolean(i, 6) || plan_.limits.end_writers) {
      note(who);
    } else {
      obstacle(who + "; let it end, or end it: SELECT pg_terminate_backend(" + rows.str(i, 0) + ")");
    }
  }
  check_prepared();
}

void Checks::check_prepared() {
  const Rows rows = sides_.left().exec(
      "look for prepared transactions on " + plan_.from(),
      "SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts WHERE "
      "database = current_database() ORDER BY prepared");
  for (int i = 0; i < rows.size(); ++i) {
    obstacle("transaction " + quote_literal(rows.at(i, 0)) + " of " + rows.str(i, 1) + " has been prepared on " +
             plan_.from() + " for " + seconds_text(std::stod(rows.str(i, 2))) +
             "; COMMIT PREPARED or ROLLBACK PREPARED it");
  }
}

void Checks::check_rights() {
  if (plan_.fence) {
    for (auto& [side, fence] : {std::pair<PgConnection&, Fence&>(sides_.left(), sides_.left_fence()),
                                std::pair<PgConnection&, Fence&>(sides_.target(), sides_.target_fence())}) {
      const std::string missing = fence.missing_rights();
      if (!missing.empty()) {
        obstacle("teal's role cannot fence " + side.label() + "; as a superuser or the tables' owner: " + missing);
      }
    }
  }
  const Rows may = sides_.left().exec("look whether sessions may be ended",
                                      "SELECT pg_has_role(oid, 'USAGE'), quote_ident(current_user) FROM pg_roles WHERE "
                                      "rolname = 'pg_signal_backend'");
  if (may.empty() || may.boolean(0, 0)) return;
  const std::string mend = "GRANT pg_signal_backend TO " + may.str(0, 1);
  if (plan_.limits.end_writers) {
    obstacle("teal's role may not end sessions on " + plan_.from() + ", as cutover.end_writers asks for: " + mend);
  } else if (plan_.limits.end_connections) {
    note("connections that clients have with " + plan_.from() + " will stay, teal's role may not end them: " + mend);
  }
}

// By name: who writes to a table where writes are now has to be let to where they go. Roles that may do everything, or
// cannot log in, say nothing of applications.
std::map<std::string, std::set<std::string>> writers_of(PgConnection& side, const std::vector<TableName>& tables) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const TableName& table : tables) {
    schemas.push_back(table.schema);
    names.push_back(table.name);
  }
  const Rows rows = side.exec(
      "look who may write on " + side.label(),
      "SELECT w.i, r.rolname FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (schema, name, i) JOIN "
      "pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name JOIN "
      "pg_roles r ON r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> current_user WHERE has_schema_privilege(r.oid, "
      "n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'INSERT') AND has_database_privilege(r.oid, "
      "current_database(), 'CONNECT')",
      {text_array(schemas), text_array(names)});
  std::map<std::string, std::set<std::string>> writers;
  for (int i = 0; i < rows.size(); ++i) {
    writers[rows.str(i, 1)].insert(to_string(tables[static_cast<std::size_t>(rows.integer(i, 0)) - 1]));
  }
  return writers;
}

void Checks::check_applications() {
  const bool to_green = plan_.to == "green";
  const auto here = writers_of(sides_.left(), to_green ? plan_.blue_tables : plan_.green_tables);
  const auto there = writers_of(sides_.target(), to_green ? plan_.green_tables : plan_.blue_tables);
  if (!here.empty() && there.empty()) {
    return obstacle("no role but teal's may write on " + plan_.to +
                    ": where teal made the tables, hand them over one by one, as docs/guide.md has it under \"Move the "
                    "application\" (not by REASSIGN OWNED, which takes teal's own schema from it)");
  }
  for (const auto& [role, tables] : here) {
    const auto known = there.find(role);
    std::string missing;
    std::size_t count = 0;
    for (const std::string& table : tables) {
      if (known != there.end() && known->second.contains(table)) continue;
      if (++count <= kNamedTablesMost) missing += (missing.empty() ? "" : ", ") + table;
    }
    if (count > kNamedTablesMost) missing += " and " + std::to_string(count - kNamedTablesMost) + " more";
    if (count > 0)
      note("role " + role + " may write to " + missing + " on " + plan_.from() + ", and not on " + plan_.to +
           "; if it is an application's, on " + plan_.to +
           ": GRANT USAGE ON SCHEMA ..., SELECT, INSERT, UPDATE, DELETE ON ... TO " + quote_identifier(role) +
           ", and USAGE on their sequences");
  }
}

void Checks::check_hooks() {
  for (const std::string& problem : hook_problems(plan_.limits.hooks)) obstacle(problem);
}

void Checks::check_markers() {
  const auto look = [&](PgConnection& source, PgConnection& target, const LinkNames& link) -> double {
    MarkerRound round(source, target, link);
    const auto passed = round.pass(std::max(plan_.limits.max_lag, milliseconds(100)), stop_);
    round.forget();
    if (passed) return std::chrono::duration<double, std::milli>(passed->took).count();
    obstacle("a marker has not come through link " + link.link + " within " +
             std::to_string(plan_.limits.max_lag.count()) + " ms (max_lag): see teal status");
    return 0;
  };
  const double forward = look(sides_.left(), sides_.target(), plan_.forward());
  if (plan_.way_back) static_cast<void>(look(sides_.target(), sides_.left(), plan_.forward().reverse()));
  found_.pause_ms += 2 * forward + kFenceMs;
}

void Checks::check_sequences() {
  const auto begin = steady_clock::now();
  const std::vector<SequenceMove> moves =
      sync_sequences(sides_.left(), sides_.target(), plan_.draw_from_sequences, plan_.config.name,
                     {.margin = plan_.limits.sequence_margin, .dry_run = true});
  found_.pause_ms += std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count();
  for (const SequenceMove& move : moves) {
    const std::string name = to_string(move.name.name.empty() ? move.from : move.name);
    if (move.outcome == SequenceMove::Outcome::kProblem) obstacle("sequence " + name + ": " + move.problem);
    if (move.outcome == SequenceMove::Outcome::kAbsent) note("sequence " + name + ": " + move.problem);
  }
}

// What nobody has tried is where clients are going to be led. The pooler may reach what teal does not, so only what
// answers is judged, and what is not there at all.
void Checks::check_led_to(std::size_t number) {
  const bool green = plan_.to == "green";
  const PoolerTarget target = pooler_target(plan_.config, plan_.limits.pgbouncer[number], green);
  ConnectOptions options = connect_options(plan_.config, !green, "cutover");
  options.conninfo = conninfo_at(options, target);
  options.connect_timeout = std::chrono::seconds(2);
  try {
    PgConnection there = PgConnection::connect(options);
    const ServerFacts found = read_server_facts(there);
    const ServerFacts expected = read_server_facts(sides_.target());
    if (found.system_id == expected.system_id && found.database == expected.database) return;
    obstacle("cutover.pgbouncer would lead clients to " + to_string(target) + ", which is database " + found.database +
             " of another server than " + plan_.to + ", or another database: mend its " + plan_.to);
  } catch (const PgError& error) {
    const std::string text =
        "teal cannot look at " + to_string(target) + ", where cutover.pgbouncer would lead clients: " + error.text();
    PgConnection::refuses_sessions(options) || error.error_class() == ErrorClass::kLogin ? note(text) : obstacle(text);
  }
}

void Checks::check_poolers() {
  const std::vector<std::unique_ptr<Pooler>> poolers = open_poolers(plan_);
  for (std::size_t i = 0; i < poolers.size(); ++i) {
    found_.pause_ms += kPoolerMs;
    try {
      poolers[i]->check();
      const PoolerTarget leads = poolers[i]->state().target;
      const PoolerTarget expected = pooler_target(plan_.config, plan_.limits.pgbouncer[i], plan_.to != "green");
      static_cast<void>(pooler_target(plan_.config, plan_.limits.pgbouncer[i], plan_.to == "green"));
      if (leads == expected) {
        check_led_to(i);
        continue;
      }
      obstacle(poolers[i]->label() + " leads to " + to_string(leads) + ", and not to " + plan_.from() + " (" +
               to_string(expected) + "): where it reaches " + plan_.from() + " by another name, give it " +
               plan_.from() +
               ": \"host=... port=... dbname=...\" in cutover.pgbouncer; where it is wrong, lead it to " +
               plan_.from() + " (its file, and RELOAD)");
    } catch (const PgError& error) {
      obstacle(
          std::string(error.what()) +
          "; cutover.pgbouncer's admin names PgBouncer's console: dbname=pgbouncer, and a user of its admin_users");
    } catch (const Stopped& stopped) {
      obstacle(stopped.what());
    }
  }
  if (poolers.empty() && plan_.limits.hooks.repoint.empty()) {
    note("neither cutover.pgbouncer nor cutover.hooks.repoint is set: clients have to be led to " + plan_.to +
         " by somebody else, and until then are refused");
  }
}

// Other consumers go on at the other side from where it is opened: the report says where that was.
void Checks::note_other_slots() {
  const Rows slots = sides_.left().exec("look for other consumers on " + plan_.from(),
                                        "SELECT slot_name, coalesce(plugin, slot_type), coalesce(confirmed_flush_lsn, "
                                        "restart_lsn)::text FROM pg_replication_slots WHERE NOT temporary AND "
                                        "(database IS NULL OR database = current_database()) AND NOT "
                                        "starts_with(slot_name, $1) ORDER BY 1",
                                        {plan_.forward().migration_prefix()});
  for (int i = 0; i < slots.size(); ++i) {
    note("slot " + slots.str(i, 0) + " on " + plan_.from() + " (" + slots.str(i, 1) + ", at " + slots.str(i, 2) +
         ") is not teal's: its consumer gets nothing of what is written on " + plan_.to +
         "; make it a slot there before the cutover, and let it go on from where the report says that " + plan_.to +
         " was opened, once it has read " + plan_.from() + " up to where that was left");
  }
}

void Checks::note_target_writers() {
  if (!plan_.fence) return;
  const Fence::State state = sides_.target_fence().state();
  if (state == Fence::State::kSealed) return;
  note(plan_.to +
       " takes writes at the moment; it is fenced when the cutover begins, and opened when it has the writes");
}

}  // namespace

CutoverFindings check_cutover(const CutoverPlan& plan, CutoverSides& sides, bool unverified,
                              const std::stop_token& stop) {
  return Checks(plan, sides, stop).run(unverified);
}

}  // namespace teal
