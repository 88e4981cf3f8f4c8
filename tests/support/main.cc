#include <gmock/gmock.h>

#include "tests/support/scratch_directory.h"

int main(int argc, char** argv) {
  teal::test::clean_up_on_signals();
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
