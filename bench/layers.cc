// What each layer between the socket and the target's socket costs, without servers: Google Benchmark.
// Every figure is per row change ("items"); rows have 5 columns and about 60 bytes, transactions 1,000 rows.
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory_resource>
#include <string>
#include <utility>
#include <vector>

#include "applier/coalescer.h"
#include "applier/row_params.h"
#include "applier/statement_builder.h"
#include "decoder/copy_data.h"
#include "decoder/pgoutput.h"
#include "decoder/transaction_assembler.h"
#include "engine/transaction_queue.h"
#include "tests/support/pgoutput_builder.h"
#include "verifier/digest.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using test::Bytes;
using test::text;

constexpr int kRows = 1'000;

Relation item_relation() {
  return test::make_relation(
      RelationId{1}, "public", "item",
      {test::key("id"), test::column("n"), test::column("v"), test::column("at"), test::column("price")});
}

TargetTable item_table() {
  TargetTable table;
  table.display_name = "public.item";
  table.sql_name = "\"public\".\"item\"";
  for (const char* name : {"\"id\"", "\"n\"", "\"v\"", "\"at\"", "\"price\""})
    table.columns.push_back({.name = name, .type = "text", .full_type = "text"});
  table.columns[0].key = true;
  table.columns[0].equality = "OPERATOR(pg_catalog.=)";
  table.key = {0};
  return table;
}

// So many updates of `keys` rows, as messages.
std::vector<Bytes> updates(int keys) {
  std::vector<Bytes> rows;
  rows.reserve(kRows);
  for (int i = 0; i < kRows; ++i) {
    rows.push_back(
        P::update(RelationId{1}, {text(std::to_string(100'000 + i % keys)), text(std::to_string(i)),
                                  text("item " + std::to_string(i)), text("2026-01-01 00:00:00+00"), text("1234.56")}));
  }
  return rows;
}

void per_row(benchmark::State& state) { state.SetItemsProcessed(state.iterations() * kRows); }

void decode(benchmark::State& state) {
  const std::vector<Bytes> rows = updates(kRows);
  for ([[maybe_unused]] auto _ : state) {
    std::pmr::monotonic_buffer_resource arena;
    for (const Bytes& row : rows) benchmark::DoNotOptimize(parse_message(row, arena));
  }
  per_row(state);
}
BENCHMARK(decode);

// With the frame that libpq would have allocated for each message.
void assemble(benchmark::State& state) {
  const Bytes relation = P::relation(item_relation());
  std::vector<Bytes> messages = test::transaction({}, updates(kRows));
  messages.insert(messages.begin() + 1, relation);
  for ([[maybe_unused]] auto _ : state) {
    TransactionAssembler assembler({});
    for (const Bytes& message : messages) {
      Frame frame = test::frame_of(message);
      const auto bytes = frame.bytes();
      benchmark::DoNotOptimize(assembler.add(Lsn{0x800}, bytes, std::move(frame)));
    }
  }
  per_row(state);
}
BENCHMARK(assemble);

// One slice at a time, from hand to hand in one thread: what it costs, not what it waits.
void queue(benchmark::State& state) {
  const Progress progress;
  TransactionQueue queue(std::size_t{64} << 20U, progress);
  TransactionSlice slice = test::slice_of({}, {item_relation()}, updates(kRows));
  SourceItem item(std::move(slice));
  for ([[maybe_unused]] auto _ : state) {
    if (!queue.try_push(item)) state.SkipWithError("the queue is full");
    item = std::move(queue.next(std::chrono::milliseconds(0)).value());
  }
  state.SetItemsProcessed(state.iterations());  // per slice
}
BENCHMARK(queue);

// `range(0)`: keys among the 1,000 changes.
void coalesce(benchmark::State& state) {
  const TransactionSlice slice = test::slice_of({}, {item_relation()}, updates(static_cast<int>(state.range(0))));
  const TargetTable table = item_table();
  Coalescer coalescer([](const TargetTable&) { return false; });
  for ([[maybe_unused]] auto _ : state) {
    coalescer.clear();
    std::uint64_t position = 0;
    for (const Change& change : slice.changes) coalescer.add(table, change, {change.lsn, ++position, &slice.facts});
    benchmark::DoNotOptimize(coalescer.epochs().data());
  }
  per_row(state);
}
BENCHMARK(coalesce)->Arg(1'000)->Arg(10);

// Rows into the parameters of the statements that they are sent by.
void build_statement_params(benchmark::State& state) {
  const TransactionSlice slice = test::slice_of({}, {item_relation()}, updates(kRows));
  const TargetTable table = item_table();
  Coalescer coalescer([](const TargetTable&) { return false; });
  std::uint64_t position = 0;
  for (const Change& change : slice.changes) coalescer.add(table, change, {change.lsn, ++position, &slice.facts});
  const Segment& segment = coalescer.epochs().front().tables.front().front();
  RowParams params;
  for ([[maybe_unused]] auto _ : state) {
    for (const RowGroup& group : as_statements(group_rows(segment))) {
      benchmark::DoNotOptimize(params.fill(group).data());
    }
  }
  per_row(state);
}
BENCHMARK(build_statement_params);

// `range(0)`: bytes of a row's text.
void range_hash(benchmark::State& state) {
  const std::string image(static_cast<std::size_t>(state.range(0)), 'x');
  for ([[maybe_unused]] auto _ : state) {
    DigestSum sum;
    for (int i = 0; i < kRows; ++i) sum.add(image);
    benchmark::DoNotOptimize(sum.digest());
  }
  per_row(state);
}
BENCHMARK(range_hash)->Arg(100)->Arg(1'000)->Arg(10'000);

}  // namespace
}  // namespace teal
