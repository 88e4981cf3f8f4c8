#include "engine/pg_error.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace teal {
namespace {

struct Case {
  const char* sqlstate;
  ErrorClass expected;
};

class Classify : public testing::TestWithParam<Case> {};

TEST_P(Classify, DecidesBySqlstateAlone) { EXPECT_EQ(classify(GetParam().sqlstate), GetParam().expected); }

INSTANTIATE_TEST_SUITE_P(Table, Classify,
                         testing::Values(Case{"", ErrorClass::kReconnect},       // libpq: the connection is gone
                                         Case{"08006", ErrorClass::kReconnect},  // connection failure
                                         Case{"57P01", ErrorClass::kReconnect},  // administrator's shutdown
                                         Case{"57P03", ErrorClass::kReconnect},  // starting up
                                         Case{"53100", ErrorClass::kReconnect},  // disk full
                                         Case{"53300", ErrorClass::kReconnect},  // too many connections
                                         Case{"55006", ErrorClass::kReconnect},  // slot or origin in use
                                         Case{"25006", ErrorClass::kReconnect},  // M10: read-only for a moment
                                         Case{"58030", ErrorClass::kReconnect},  // I/O error
                                         Case{"40001", ErrorClass::kRetry},      // serialization failure
                                         Case{"40P01", ErrorClass::kRetry},      // deadlock
                                         Case{"55P03", ErrorClass::kRetry},      // lock timeout
                                         Case{"57014", ErrorClass::kRetry},      // cancelled
                                         Case{"28P01", ErrorClass::kLogin},      // wrong password
                                         Case{"3D000", ErrorClass::kLogin},      // no such database
                                         Case{"23505", ErrorClass::kStop},       // unique violation
                                         Case{"42501", ErrorClass::kStop},       // missing right
                                         Case{"42P01", ErrorClass::kStop},       // no such table
                                         Case{"58P01", ErrorClass::kStop},       // a WAL segment was removed
                                         Case{"XX000", ErrorClass::kStop}));

TEST(PgError, SaysWhatWasTriedAndWhatTheServerAnswered) {
  const PgError error("create the slot", "all replication slots are in use", "53400");
  EXPECT_STREQ(error.what(), "create the slot: all replication slots are in use (SQLSTATE 53400)");
  EXPECT_EQ(error.error_class(), ErrorClass::kReconnect);
}

}  // namespace
}  // namespace teal
