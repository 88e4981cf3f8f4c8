#pragma once
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "applier/applier.h"
#include "applier/origin_session.h"
#include "applier/progress_row.h"
#include "applier/target_session.h"
#include "engine/control_schema.h"
#include "tests/support/pgoutput_builder.h"
#include "tests/support/two_node_fixture.h"

namespace teal::test {

/// The target end alone: transactions are fed by hand into a real Applier on a real server, as teal's unprivileged
/// role.
class ApplierFixture : public TwoNodeFixture {
 protected:
  const LinkNames names_{"shop", "blue_to_green"};

  [[nodiscard]] ConnectOptions green_connect(const std::string& role = "blue_to_green") const {
    return {const_cast<ApplierFixture*>(this)->green_server().conninfo(kTealRole, kShopDatabase), "green",
            "teal/shop/" + role};
  }

  [[nodiscard]] ConnectOptions blue_connect() const {
    return {const_cast<ApplierFixture*>(this)->blue_server().conninfo(kTealRole, kShopDatabase), "blue",
            "teal/shop/blue_to_green"};
  }

  /// Creates `tables_sql` on green as the owner and marks `tables` as copied.
  void prepare(const std::string& tables_sql, const std::vector<std::string>& tables) {
    green_owner().exec("SET search_path = public; " + tables_sql);
    PgConnection connection = PgConnection::connect(green_connect("test"));
    install_control_schema(connection);
    ensure_origin(connection, names_.origin());
    green().exec(
        "INSERT INTO teal.progress (migration, link, applied, held, source_system_id) VALUES "
        "('shop', 'blue_to_green', '0/0', '0/0', '1')");
    for (const std::string& table : tables) mark_copied(table);
  }

  /// Marks a table of schema public as copied.
  void mark_copied(const std::string& table) {
    green().exec(
        "INSERT INTO teal.table_state (migration, link, schema_name, table_name, target_schema, target_table, state) "
        "SELECT 'shop', 'blue_to_green', 'public', t, 'public', t, 'copied' FROM (VALUES (" +
        sql_text(table) + ")) AS v (t)");
  }

  /// `session`: where to and under which origin is filled in here.
  std::unique_ptr<Applier> open_applier(ApplierOptions options = {}, TargetSessionOptions session = {},
                                        const std::stop_token& stop = {}) {
    options.names = names_;
    options.open_source = [connect = blue_connect()] { return PgConnection::connect(connect); };
    session.connect = green_connect();
    session.origin = names_.origin();
    PgConnection connection = open_target_session(session, stop);
    ProgressRow row = read_progress(connection, "shop", "blue_to_green");
    return std::make_unique<Applier>(options, std::move(connection), std::move(row), careful_);
  }

  /// Hands a whole transaction to the sink, as the link does.
  static void give(Applier& applier, TransactionSlice slice) {
    const Lsn end = slice.end_lsn;
    if (slice.first) applier.begin(slice.facts);
    const bool last = slice.last;
    applier.append(std::move(slice));
    if (last) applier.commit(end);
  }

  static TransactionToBuild at(std::uint64_t position) {
    return {Xid{static_cast<std::uint32_t>(position)}, Lsn{position * 0x1000}, Lsn{position * 0x1000 + 0x100},
            Timestamp{static_cast<std::int64_t>(position) * 1'000'000}};
  }

  std::string counter(const std::string& name) {
    return green().value("SELECT coalesce((counters->>" + sql_text(name) + "), '0') FROM teal.progress");
  }
  std::string applied() { return green().value("SELECT applied FROM teal.progress"); }
  /// `id:value` of each row, by id.
  std::string content(const std::string& table, const std::string& column) {
    return green().value("SELECT coalesce(string_agg(id || ':' || coalesce(" + column +
                         "::text, 'NULL'), ' ' ORDER BY id), '') FROM public." + table);
  }

  std::shared_ptr<CarefulTables> careful_ = std::make_shared<CarefulTables>();
};

}  // namespace teal::test
