#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "applier/side_changes.h"
#include "tests/scenario/applier_fixture.h"

namespace teal::test {

/// The target end of a two-way link alone: blue's transactions are fed by hand into a real Applier on a real green, and
/// so is what green's own stream would bring.
class ConflictFixture : public ApplierFixture {
 protected:
  using P = PgoutputBuilder;

  /// Table `item` as blue announces it.
  static const Relation& item() {
    static const Relation relation =
        make_relation(RelationId{1}, "public", "item", {key("id"), column("name"), column("big")});
    return relation;
  }
  static Bytes insert(const std::string& id, const std::string& name) {
    return P::insert(item().id, {text(id), text(name), text("whole")});
  }
  static Bytes update(const std::string& id, const std::string& name) {
    return P::update(item().id, {text(id), text(name), text("whole")});
  }
  static Bytes remove(const std::string& id) { return P::delete_key(item().id, {text(id), null(), null()}); }

  void SetUp() override {
    ApplierFixture::SetUp();
    prepare("CREATE TABLE item (id int PRIMARY KEY, name text, big text)", {"item"});
    // Stands for the link that reads green.
    reader_ = std::jthread([this](const std::stop_token& stop) {
      Sql sql = green_server().connect("postgres", kShopDatabase);
      while (!stop.stop_requested()) read_green(sql);
    });
  }
  void TearDown() override {
    reader_ = {};
    ApplierFixture::TearDown();
  }

  /// Called again and again: what green committed until now has arrived. Here it has by itself, see `green_commits`.
  virtual void read_green(Sql& sql) {
    const auto position = parse_lsn(sql.value("SELECT pg_current_wal_insert_lsn()"));
    const std::scoped_lock lock(mutex_);
    if (arrives_late_) std::exchange(arrives_late_, nullptr)();
    green_changes_.passed(*position);
  }

  std::unique_ptr<Applier> open(ApplierOptions options = {}, TargetSessionOptions session = {},
                                const std::stop_token& stop = {}) {
    options.conflicts = ConflictGuardOptions{
        {Side::kBlue, &blue_changes_, &green_changes_, [this](const TableName&) { return policy_; }},
        names_,
        [this, stop] {
          PgConnection connection = PgConnection::connect(green_connect("fence"));
          connection.set_stop_token(stop);
          return connection;
        },
        [connect = blue_connect()] { return PgConnection::connect(connect); }};
    options.conflicts->logs_rows = logs_rows_;
    return open_applier(options, std::move(session), stop);
  }

  /// An application's commit on green at `position` of its log: `sql` there, `rows` in its stream.
  void green_commits(std::uint64_t position, const std::string& sql, const std::vector<Bytes>& rows) {
    green_owner().exec("SET search_path = public; " + sql);
    TransactionSlice slice = slice_of(at(position), {item()}, rows);
    green_changes_.slice(slice);
  }

  /// A commit on blue, which had seen green's log up to `seen`.
  TransactionSlice blue(const TransactionToBuild& facts, const std::vector<Bytes>& rows, std::uint64_t seen = 0) {
    blue_changes_.begin_session(Lsn{}, Timestamp{}, Lsn{seen * 0x1000 + 0x100});
    TransactionSlice slice = slice_of(facts, {item()}, rows);
    blue_changes_.slice(slice);
    return slice;
  }
  TransactionSlice blue(std::uint64_t position, const std::vector<Bytes>& rows, std::uint64_t seen = 0) {
    return blue(at(position), rows, seen);
  }

  void apply(TransactionSlice slice) {
    auto applier = open();
    give(*applier, std::move(slice));
    applier->flush();
  }

  std::string items() { return content("item", "name"); }
  std::string log() {
    return green().value(
        "SELECT coalesce(string_agg(concat_ws(' ', type, table_name, key, resolution), E'\\n' ORDER BY id), '') "
        "FROM teal.conflict_log");
  }

  static std::optional<KeyShape> shape_of(const Relation& relation) {
    if (relation.name != "item") return std::nullopt;
    return make_key_shape(relation, relation.schema, relation.name, {"id"});
  }

  LogsRows logs_rows_ = [](const TableName&) { return true; };
  ConflictPolicy policy_ = ConflictPolicy::kLastUpdateWins;
  static constexpr std::size_t kUnseenBytesMax = std::size_t{1} << 30;
  SideChanges blue_changes_{"green_to_blue", shape_of, kUnseenBytesMax};
  SideChanges green_changes_{"blue_to_green", shape_of, kUnseenBytesMax};
  std::mutex mutex_;
  std::function<void()> arrives_late_;  // called by the reader before it passes anything more
  std::jthread reader_;
};

}  // namespace teal::test
