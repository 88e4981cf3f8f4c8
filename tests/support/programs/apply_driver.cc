// Feeds hand-made source transactions 1..N through the real sink into a target, the way a link does after a restart: it
// takes the origin, reads the progress row, and sends everything from a position at or before it. A scenario kills it
// at a failpoint and starts it again.
//
//   apply_driver TARGET_CONNINFO N PER_BATCH
//
// Transaction i inserts row i into public.history (id, note) and sets public.counter (id=1) to i.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "applier/applier.h"
#include "applier/progress_row.h"
#include "applier/target_session.h"
#include "engine/pg_error.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;

const Relation kHistory = make_relation(RelationId{10}, "public", "history", {key("id"), column("note")});
const Relation kCounter = make_relation(RelationId{11}, "public", "counter", {key("id"), column("n", kInt4)});

std::vector<TransactionSlice> make_transactions(int count) {
  TransactionAssembler assembler(AssemblerOptions{"teal_shop_", 1U << 20U});
  std::vector<TransactionSlice> slices;
  for (int i = 1; i <= count; ++i) {
    const auto number = static_cast<std::uint64_t>(i);
    const std::string id = std::to_string(i);
    std::vector<Bytes> body;
    if (i == 1) body = {P::relation(kHistory), P::relation(kCounter)};
    body.push_back(P::insert(kHistory.id, {text(id), text("note " + id)}));
    body.push_back(P::update(kCounter.id, {text("1"), text(id)}));
    const TransactionToBuild facts{Xid{static_cast<std::uint32_t>(i)}, Lsn{number * 0x1000},
                                   Lsn{number * 0x1000 + 0x100}, Timestamp{i * 1'000}};
    for (TransactionSlice& slice : feed(assembler, transaction(facts, body))) slices.push_back(std::move(slice));
  }
  return slices;
}

int drive(const std::string& conninfo, int count, int per_batch) {
  ApplierOptions options;
  options.names = {"shop", "blue_to_green"};
  PgConnection connection =
      open_target_session({{conninfo, "green", "teal/shop/blue_to_green"}, options.names.origin()}, {});
  ProgressRow row = read_progress(connection, options.names.migration, options.names.link);
  Applier applier(options, std::move(connection), std::move(row), std::make_shared<CarefulTables>());
  int pending = 0;
  for (TransactionSlice& slice : make_transactions(count)) {  // from the beginning: what is known has to be skipped
    const Lsn end = slice.end_lsn;
    applier.begin(slice.facts);
    applier.append(std::move(slice));
    applier.commit(end);
    if (++pending % per_batch == 0) applier.flush();
  }
  applier.flush();
  std::printf("applied %s\n", to_string(applier.applied()).c_str());
  return 0;
}

}  // namespace
}  // namespace teal::test

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    return teal::test::drive(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
