#pragma once
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// The link from green to blue: set up once green holds what was copied, because what an application changes on green
/// before that could not be told from what it has not seen.

/// Whether it was opened: it has a progress row on blue. Errors: PgError.
[[nodiscard]] bool has_way_back(const Config& config);

/// Green has applied everything that its copied rows hold already. Errors: PgError.
[[nodiscard]] bool is_level_with_copy(const Config& config);

/// Makes what it needs, or looks whether it can go on: schema teal, publications on green, origin and progress row on
/// blue, slot on green, and one table state for each table that is copied on green. While the link blue to green does
/// not run: what green has of blue now is what its changes from now on have seen. Safe to repeat.
/// Errors: Stopped(kRefused), with the SQL for somebody who may, when a publication is not teal's to make; as
/// check_link; PgError.
void open_way_back(const Config& config, const std::stop_token& stop);

/// Takes tables into the running link that have joined the other one since: first their state on blue, then the
/// publication on green. What is changed on green before that stays there.
/// Threads: one. Errors: none; what cannot be done is told once and tried again.
class WayBackTables {
 public:
  WayBackTables(const Config& config, std::stop_token stop);
  void look();

 private:
  void take_in();

  const Config& config_;
  std::stop_token stop_;
  std::string told_;
};

}  // namespace teal
