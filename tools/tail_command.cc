// A reader of its own beside the link: a temporary slot, which the server drops with the session, and the receiver that
// links use too. So keepalives are answered while the output is blocked, the queue is bounded in bytes, and nothing is
// acknowledged that was not written.
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/catalog.h"
#include "engine/log.h"
#include "engine/names.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "engine/receiver.h"
#include "engine/transaction_queue.h"
#include "tools/column_types.h"
#include "tools/commands.h"
#include "tools/link_facts.h"
#include "tools/open_transactions.h"
#include "tools/reader_output.h"
#include "tools/signals.h"
#include "tools/table_list.h"
#include "tools/tail_printer.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLook{100};  // how late the end of the time, a stop, or a reader that left is noticed
// A pager that nobody touches any more must not keep the server's log for ever.
constexpr std::chrono::minutes kStallMax{10};
constexpr const char* kCancelled = "57014";
constexpr const char* kNoFreeSlot = "53400";

/// A stream from its beginning to its end. The server drops its slot with the session.
struct TailStream {
  TailStream(StreamReaderOptions options, ReplicationStream stream, std::size_t queue_bytes_max)
      : queue(queue_bytes_max, progress),
        receiver(std::move(options), std::move(stream), queue, progress),
        thread([this] { receiver.run(); }) {}
  ~TailStream() {
    receiver.finish();
    thread.join();
  }
  TailStream(const TailStream&) = delete;
  TailStream& operator=(const TailStream&) = delete;

  Progress progress;
  TransactionQueue queue;
  Receiver receiver;
  std::jthread thread;
};

class Tail {
 public:
  Tail(const Config& config, const TailOptions& options, TailFormat format, std::stop_token stop)
      : config_(config),
        options_(options),
        format_(format),
        stop_(std::move(stop)),
        blue_(options.side == "blue"),
        names_{config.name, std::string(blue_ ? kBlueToGreen : kGreenToBlue)} {}

  /// Returns whether all was shown that was asked for: with --count, so many transactions.
  bool run() {
    const TableSelection selection = read_table_list(options_.tables);
    PgConnection source = PgConnection::connect(connect_options(config_, blue_, "tail"));
    check_publication(source, selection);
    ColumnTypes types(std::move(source));
    TailPrinter printer(format_, selection, [&types](const Relation& relation) { return types.of(relation); });
    ReplicationStream stream = open_stream();
    const std::string start = to_string(stream.start());
    StreamReaderOptions reader;  // no origin is ours here: what teal wrote is shown too
    reader.link = names_.link + " (tail)";
    TailStream tail(std::move(reader), std::move(stream), config_.apply.queue_bytes_max);
    log_event(LogLevel::kInfo, "tail started", {{"side", options_.side}, {"lsn", start}});
    const bool complete = show(tail, printer);
    log_event(LogLevel::kInfo, "tail ended",
              {{"side", options_.side}, {"transactions", printer.transactions()}, {"changes", printer.changes()}});
    return complete;
  }

 private:
  void check_publication(PgConnection& source, const TableSelection& selection) const;
  /// What makes it, of the tables that the configuration selects there.
  [[nodiscard]] std::string create_publication(PgConnection& source) const;
  [[nodiscard]] ReplicationStream open_stream() const;
  bool show(TailStream& tail, TailPrinter& printer) const;

  const Config& config_;
  const TailOptions& options_;
  TailFormat format_;
  std::stop_token stop_;
  bool blue_;
  LinkNames names_;
};

void Tail::check_publication(PgConnection& source, const TableSelection& selection) const {
  const std::string name = names_.publication();
  const Rows rows = source.exec("look for the publication " + name,
                                "SELECT t.schemaname, t.tablename FROM pg_publication p LEFT JOIN "
                                "pg_publication_tables t ON t.pubname = p.pubname WHERE p.pubname = $1",
                                {name});
  if (rows.empty()) {
    throw Stopped(StopCode::kRefused,
                  "tail reads the publication " + name + ", and there is none on " + source.label() + "; " +
                      (blue_ ? "teal init makes it, or teal check prints the statement for the owner of the tables"
                             : "let the owner of the tables make it: " + create_publication(source)));
  }
  std::vector<TableName> tables;
  for (int i = 0; i < rows.size(); ++i) {
    if (!rows.is_null(i, 0)) tables.push_back({rows.str(i, 0), rows.str(i, 1)});
  }
  check_each_pattern_matches(selection, tables, "of the publication " + name);
}

std::string Tail::create_publication(PgConnection& source) const {
  TablesToPublish wanted;
  for (const SourceTable& table : read_source_catalog(source, config_.tables).tables) {
    if (!table.refusal.empty()) continue;
    wanted.tables.push_back(table.name);
    if (table.has_children) wanted.parents.insert(table.name);
  }
  if (wanted.tables.empty()) return "once there are tables on " + source.label();
  return create_publication_sql(names_.publication(), wanted);
}

ReplicationStream Tail::open_stream() const {
  StreamOptions options;
  options.connect = connect_options(config_, blue_, "tail");
  options.connect.replication = true;
  options.link = names_.link;
  options.slot = names_.tail_slot();
  options.publications = {names_.publication()};
  const auto tell = [server = connect_options(config_, blue_, "tail-watch")](int waiting_pid) {
    return tell_blockers(server, waiting_pid);
  };
  try {
    return ReplicationStream::open_temporary(options, tell, stop_);
  } catch (const PgError& error) {
    if (error.sqlstate() != kNoFreeSlot) throw;
    throw Stopped(StopCode::kRefused, std::string(error.what()) + "; tail needs a replication slot of " +
                                          options.connect.label +
                                          " for as long as it runs: raise max_replication_slots");
  }
}

bool Tail::show(TailStream& tail, TailPrinter& printer) const {
  const auto end = Clock::now() + options_.time.value_or(milliseconds(0));
  ReaderOutput output(STDOUT_FILENO, kStallMax);
  while (!stop_.stop_requested() && !(options_.time && Clock::now() >= end)) {
    if (output.reader_gone()) return true;
    const std::optional<SourceItem> item = tail.queue.next(kLook);
    if (!item) continue;
    if (const auto* idle = std::get_if<WalEnd>(&*item)) {
      tail.progress.set_durable(idle->lsn);
      continue;
    }
    const auto& slice = std::get<TransactionSlice>(*item);
    switch (output.write(printer.lines_of(slice), stop_)) {
      case ReaderOutput::Result::kWritten:
        break;
      case ReaderOutput::Result::kReaderGone:
        return true;
      case ReaderOutput::Result::kStopped:
        return options_.count == 0;
      case ReaderOutput::Result::kStalled:
        throw Stopped(StopCode::kIncomplete, "nobody has read the output for ten minutes: ended, because " +
                                                 options_.side + " would have to keep its log for it");
    }
    if (slice.last) tail.progress.set_durable(slice.end_lsn);
    if (options_.count > 0 && printer.transactions() >= options_.count) return true;
  }
  return options_.count == 0;
}

TailFormat format_of(const TailOptions& options, const OutputOptions& output) {
  if (options.format == "text" && output.json) {
    throw Stopped(StopCode::kUsage, "--json and --format text contradict each other");
  }
  if (output.json || options.format == "json") return TailFormat::kJson;
  return options.format == "text" || isatty(STDOUT_FILENO) != 0 ? TailFormat::kText : TailFormat::kJson;
}

}  // namespace

int tail_command(const Config& config, const OutputOptions& output, const TailOptions& options) {
  const TailFormat format = format_of(options, output);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone is an answer of write
  const SignalStop signals;
  bool complete = options.count == 0;
  try {
    complete = Tail(config, options, format, signals.token()).run();
  } catch (const PgError& error) {
    // The creation of the slot was cancelled because we were asked to end.
    if (!signals.token().stop_requested() || error.sqlstate() != kCancelled) throw;
  }
  return complete ? 0 : static_cast<int>(StopCode::kIncomplete);
}

}  // namespace teal
