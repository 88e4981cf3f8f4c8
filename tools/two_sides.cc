#include "tools/two_sides.h"

#include <chrono>

#include "applier/key_shapes.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kAnswerWithin{10'000};

FindKeyShape key_shapes(const Config& config, bool blue) {
  ConnectOptions connect = connect_options(config, blue, "keys");
  connect.answer_within = kAnswerWithin;
  return find_key_shapes([connect] { return PgConnection::connect(connect); },
                         [&config](const TableName& table) { return config.conflicts.version_column_of(table); });
}

}  // namespace

TwoSides::TwoSides(const Config& config, bool binary)
    : binary_(binary),
      blue_(std::string(kGreenToBlue), key_shapes(config, true), config.apply.unseen_bytes_max),
      green_(std::string(kBlueToGreen), key_shapes(config, false), config.apply.unseen_bytes_max) {}

}  // namespace teal
