#include "tools/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "tools/cutover_status.h"

namespace teal {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<prometheus::ClientMetric::Label>;

// Families in the order in which they were first named.
class Page {
 public:
  void gauge(const std::string& name, const std::string& help, Labels labels, double value) {
    add(name, help, MetricType::Gauge, std::move(labels)).gauge.value = value;
  }
  void counter(const std::string& name, const std::string& help, Labels labels, double value) {
    add(name, help, MetricType::Counter, std::move(labels)).counter.value = value;
  }
  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  prometheus::ClientMetric& add(const std::string& name, const std::string& help, MetricType type, Labels labels) {
    const auto [at, added] = places_.try_emplace(name, families_.size());
    if (added) families_.push_back({name, help, type, {}});
    prometheus::ClientMetric& metric = families_[at->second].metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<MetricFamily> families_;
  std::map<std::string, std::size_t> places_;
};

double number(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

void add_tables(Page& page, const LinkStatus& link) {
  std::map<std::string, std::uint64_t> others;
  for (std::size_t i = 0; i < link.tables.size(); ++i) {
    const TableStatus& table = link.tables[i];
    if (i >= kLabelledTablesMost) {
      ++others[table.copy.state];
      continue;
    }
    page.gauge("teal_table_state", "1 for the state that a table is in",
               {{"link", link.link}, {"table", to_string(table.name)}, {"state", table.copy.state}}, 1);
  }
  for (const auto& [state, count] : others) {
    page.gauge("teal_table_state", "", {{"link", link.link}, {"table", "(others)"}, {"state", state}},
               static_cast<double>(count));
  }
  page.counter("teal_copy_rows_total", "Rows of the initial copies", {{"link", link.link}},
               static_cast<double>(link.copied_rows));
  page.counter("teal_copy_bytes_total", "Bytes of the initial copies", {{"link", link.link}},
               static_cast<double>(link.copied_bytes));
}

void add_slot(Page& page, const LinkStatus& link) {
  if (!link.slot || !link.slot->safe_wal_bytes) return;  // no limit is set
  page.gauge("teal_slot_safe_wal_bytes", "WAL that the source can write before the slot may be lost",
             {{"link", link.link}}, static_cast<double>(*link.slot->safe_wal_bytes));
  if (const std::optional<double> seconds = link.lost_in_seconds()) {
    page.gauge("teal_slot_loss_seconds", "When that is, if the source goes on writing as it does",
               {{"link", link.link}}, *seconds);
  }
}

void add_link(Page& page, const LinkStatus& link) {
  const Labels labels{{"link", link.link}};
  page.gauge("teal_lag_bytes", "WAL that the source has written and the target has not applied", labels,
             static_cast<double>(link.lag_bytes()));
  page.gauge("teal_lag_seconds", "Since the source was as the target is now", labels, link.lag_seconds());
  page.counter("teal_received_changes_total", "Row changes that the source sent", labels,
               number(link.counters, "received"));
  page.counter("teal_transactions_total", "Transactions of the source", labels, number(link.counters, "transactions"));
  page.counter("teal_batches_total", "Transactions on the target", labels, number(link.counters, "batches"));
  page.gauge("teal_quarantined_rows", "Changes at which the link stopped, and that nobody has settled", labels,
             static_cast<double>(link.quarantine.open()));
  add_slot(page, link);
  add_tables(page, link);
}

// One family for where writes are and how the last move ended: alarms ask for `moved` or `preparing` that stays.
void add_cutover(Page& page, const CutoverHistory& history) {
  if (!history.last) return;
  page.gauge("teal_cutover_state", "1 for how far the last cutover has come, and where applications write",
             {{"state", std::string(to_string(history.last->state))},
              {"to", history.last->to},
              {"writes_on", history.writes_on}},
             1);
  if (const std::optional<double> pause = last_pause_seconds(history)) {
    page.gauge("teal_write_pause_seconds", "How long writes waited in the last cutover", {}, *pause);
  }
}

void add_verify(Page& page, const VerifyRunning& verifying) {
  const VerifyProgress& progress = verifying.progress;
  page.counter("teal_verify_rows_total", "Rows that teal run compared", {}, static_cast<double>(progress.rows));
  if (!verifying.active()) return;
  for (const auto& [state, count] :
       {std::pair("equal", progress.last.equal), std::pair("unchecked", progress.last.unchecked),
        std::pair("differs", progress.last.differs)}) {
    page.gauge("teal_verify_ranges", "Ranges of all tables, by what teal run found when it compared them last",
               {{"state", state}}, static_cast<double>(count));
  }
}

}  // namespace

std::string metrics_text(const MigrationStatus& status) {
  Page page;
  page.gauge("teal_build_info", "1", {{"version", TEAL_VERSION}}, 1);
  if (!status.links.empty()) {
    page.gauge("teal_clock_skew_seconds", "Green's clock minus blue's", {}, status.skew.seconds());
  }
  for (const LinkStatus& link : status.links) add_link(page, link);
  add_cutover(page, status.cutovers);
  if (status.verifying) add_verify(page, *status.verifying);
  return page.text();
}

}  // namespace teal
