#include "verifier/beyond_rows.h"

#include <functional>
#include <future>
#include <iterator>
#include <utility>

#include "engine/pg_error.h"
#include "verifier/collation_check.h"
#include "verifier/reference_check.h"
#include "verifier/schema_check.h"

namespace teal {
namespace {

using Findings = std::vector<VerifyFinding>;

void append(Findings& to, Findings from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

PgConnection connect(const ConnectOptions& options, const std::stop_token& stop) {
  PgConnection connection = PgConnection::connect(options);
  connection.set_stop_token(stop);
  return connection;
}

// One look: what it cannot see is not checked, and the next one is tried.
void look(FindingArea area, const std::string& side, const std::stop_token& stop, Findings& findings,
          const std::function<Findings()>& check) {
  try {
    append(findings, check());
  } catch (const PgError& error) {
    findings.push_back(
        {.area = area,
         .weight = FindingWeight::kUnchecked,
         .table = "",
         .side = side,
         .text = stop.stop_requested() ? "it was stopped before all of it was looked at" : error.what()});
  }
}

Findings look_at_side(ComparedOn which, const BeyondRowsOptions& options, const std::vector<ComparedTable>& tables,
                      LookProgress& progress) {
  const ConnectOptions& to = which == ComparedOn::kBlue ? options.blue : options.green;
  Findings findings;
  // A session for each, because one that failed may be of no use any more.
  const auto with_side = [&](FindingArea area, const std::function<Findings(SideLook&)>& check) {
    look(area, to.label, options.stop, findings, [&] {
      PgConnection connection = connect(to, options.stop);
      SideLook side(connection, which, tables);
      return check(side);
    });
  };
  with_side(FindingArea::kCollations, check_collations);
  with_side(FindingArea::kDuplicates,
            [&](SideLook& side) { return check_duplicates(side, options.settle, options.all_unique, progress); });
  with_side(FindingArea::kOrphans, [&](SideLook& side) { return check_references(side, options.settle, progress); });
  return findings;
}

}  // namespace

std::vector<VerifyFinding> look_beyond_rows(const BeyondRowsOptions& options, const std::vector<ComparedTable>& tables,
                                            LookProgress& progress) {
  Findings findings;
  look(FindingArea::kSchema, "", options.stop, findings, [&] {
    PgConnection blue = connect(options.blue, options.stop);
    PgConnection green = connect(options.green, options.stop);
    SideLook here(blue, ComparedOn::kBlue, tables);
    SideLook there(green, ComparedOn::kGreen, tables);
    return check_schema(here, there);
  });
  std::future<Findings> there =
      std::async(std::launch::async, [&] { return look_at_side(ComparedOn::kGreen, options, tables, progress); });
  append(findings, look_at_side(ComparedOn::kBlue, options, tables, progress));
  append(findings, there.get());
  return findings;
}

}  // namespace teal
