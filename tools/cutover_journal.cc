#include "tools/cutover_journal.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/pg_error.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr std::array<std::pair<CutoverState, std::string_view>, 5> kStates{{{CutoverState::kPreparing, "preparing"},
                                                                            {CutoverState::kPausing, "pausing"},
                                                                            {CutoverState::kMoved, "moved"},
                                                                            {CutoverState::kDone, "done"},
                                                                            {CutoverState::kUndone, "undone"}}};

CutoverState parse_state(const std::string& text) {
  for (const auto& [state, word] : kStates) {
    if (word == text) return state;
  }
  throw Stopped(StopCode::kRefused, "teal.cutover_journal has the state \"" + text +
                                        "\", which this teal does not know: use the teal that wrote it");
}

std::optional<CutoverEntry> read_one(PgConnection& side, const std::string& migration, const std::string& which,
                                     std::initializer_list<Param> params) {
  if (!has_control_table(side, "cutover_journal")) return std::nullopt;
  const Rows rows =
      side.exec("read " + side.label() + "'s cutover journal of " + migration,
                "SELECT number, to_side, state, details, started_at, extract(epoch FROM clock_timestamp() - "
                "updated_at)::float8 FROM teal.cutover_journal WHERE migration = $1 " +
                    which + " ORDER BY number DESC LIMIT 1",
                params);
  if (rows.empty()) return std::nullopt;
  return CutoverEntry{
      rows.integer(0, 0), rows.str(0, 1),           parse_state(rows.str(0, 2)), nlohmann::json::parse(rows.str(0, 3)),
      rows.str(0, 4),     std::stod(rows.str(0, 5))};
}

}  // namespace

std::string_view to_string(CutoverState state) {
  for (const auto& [known, word] : kStates) {
    if (known == state) return word;
  }
  return "";
}

void note_cutover(PgConnection& side, const std::string& migration, const CutoverEntry& entry) {
  const Rows written =
      side.exec("write " + side.label() + "'s cutover journal",
                "INSERT INTO teal.cutover_journal (migration, number, to_side, state, details) VALUES ($1, $2::bigint, "
                "$3, $4, $5::jsonb) ON CONFLICT (migration, number) DO UPDATE SET to_side = excluded.to_side, state = "
                "excluded.state, details = excluded.details, updated_at = clock_timestamp()",
                {migration, std::to_string(entry.number), entry.to, std::string(to_string(entry.state)),
                 entry.details.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)});
  if (written.affected() != 1) {
    throw Stopped(StopCode::kBug, "the cutover journal of " + side.label() + " took " +
                                      std::to_string(written.affected()) + " rows in place of one");
  }
}

std::optional<CutoverEntry> read_last_cutover(PgConnection& side, const std::string& migration) {
  return read_one(side, migration, "", {migration});
}

CutoverHistory read_cutovers(PgConnection& blue, PgConnection& green, const std::string& migration) {
  const std::optional<CutoverEntry> here = read_last_cutover(blue, migration);
  const std::optional<CutoverEntry> there = read_last_cutover(green, migration);
  CutoverHistory history;
  const bool blue_is_newer = here && (!there || here->number >= there->number);
  history.last = blue_is_newer ? here : there;
  if (history.last) {
    PgConnection& left = history.last->to == "green" ? blue : green;
    const std::string number = std::to_string(history.last->number);
    const std::optional<CutoverEntry> decides =
        read_one(left, migration, "AND number = $2::bigint", {migration, number});
    if (decides) history.last = decides;
  }
  for (PgConnection* side : {&blue, &green}) {
    const auto decided = read_one(*side, migration, "AND state IN ('moved', 'done')", {migration});
    if (!decided) continue;
    const auto other = read_one(side == &blue ? green : blue, migration, "AND state IN ('moved', 'done')", {migration});
    history.writes_on = other && other->number > decided->number ? other->to : decided->to;
    break;
  }
  for (PgConnection* side : {&blue, &green}) {
    const auto last =
        read_one(*side, migration, "AND state IN ('moved', 'done') AND details ->> 'way_back' = 'false'", {migration});
    if (!last) continue;
    history.one_sided_seconds = std::min(history.one_sided_seconds.value_or(last->seconds_ago), last->seconds_ago);
  }
  return history;
}

}  // namespace teal
