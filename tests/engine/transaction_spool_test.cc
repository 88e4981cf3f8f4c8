#include "engine/transaction_spool.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/pg_error.h"
#include "tests/support/scratch_directory.h"

namespace teal {
namespace {

class TransactionSpoolTest : public testing::Test {
 protected:
  static void add(TransactionSpool& spool, Xid xid, std::uint64_t lsn, const std::string& text) {
    spool.add(xid, Lsn{lsn}, std::byte{'I'}, std::as_bytes(std::span(text)));
  }

  static std::vector<std::string> texts(SpooledTransaction transaction) {
    std::vector<std::string> found;
    while (auto message = transaction.next()) {
      const auto bytes = message->frame.bytes();
      found.push_back(std::to_string(message->lsn.value) +
                      std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    return found;
  }

  std::filesystem::path directory_ = test::make_scratch_directory("spool");
  SpoolOptions options_{directory_.string(), 1U << 30U};
};

using Texts = std::vector<std::string>;

TEST_F(TransactionSpoolTest, BlocksOfSeveralTransactionsAreKeptApart) {
  TransactionSpool spool(options_);
  for (int round = 0; round < 3; ++round) {
    for (const std::uint32_t xid : {7U, 8U}) {
      spool.start(Xid{xid}, round == 0);
      add(spool, Xid{xid}, static_cast<std::uint64_t>(round), std::to_string(xid));
      spool.stop();
    }
  }
  EXPECT_EQ(texts(spool.take(Xid{8}).value()), (Texts{"0I8", "1I8", "2I8"}));
  EXPECT_EQ(texts(spool.take(Xid{7}).value()), (Texts{"0I7", "1I7", "2I7"}));
  EXPECT_FALSE(spool.take(Xid{7}));
  EXPECT_EQ(spool.bytes(), 0U);
}

TEST_F(TransactionSpoolTest, C5RolledBackSubtransactionsAndTransactionsLeaveNothing) {
  TransactionSpool spool(options_);
  spool.start(Xid{7}, true);
  add(spool, Xid{7}, 1, "a");
  add(spool, Xid{9}, 2, "gone");
  add(spool, Xid{10}, 3, "b");
  spool.stop();
  spool.abort(Xid{7}, Xid{9});
  spool.start(Xid{7}, false);
  add(spool, Xid{11}, 4, "gone");
  add(spool, Xid{7}, 5, "c");
  spool.stop();
  spool.abort(Xid{7}, Xid{11});
  spool.start(Xid{8}, true);
  add(spool, Xid{8}, 6, "gone");
  spool.stop();
  spool.abort(Xid{8}, Xid{8});
  EXPECT_FALSE(spool.take(Xid{8}));
  EXPECT_EQ(texts(spool.take(Xid{7}).value()), (Texts{"1Ia", "3Ib", "5Ic"}));
}

TEST_F(TransactionSpoolTest, MessagesOfAnySizeComeBackAsTheyWere) {
  TransactionSpool spool(options_);
  Texts expected;
  spool.start(Xid{7}, true);
  for (const std::size_t size : {0U, 1U, 262'100U, 262'144U, 1U, 3'000'000U, 0U}) {
    const std::string text(size, static_cast<char>('a' + expected.size()));
    add(spool, Xid{7}, expected.size(), text);
    expected.push_back(std::to_string(expected.size()) + "I" + text);
  }
  spool.stop();
  EXPECT_EQ(texts(spool.take(Xid{7}).value()), expected);
}

TEST_F(TransactionSpoolTest, I7TheCapHoldsForAllOpenTransactionsTogether) {
  options_.bytes_max = 1'000'000;
  TransactionSpool spool(options_);
  const std::string text(100'000, 'x');
  EXPECT_THROW(
      {
        for (std::uint32_t xid = 1; xid < 100; ++xid) {
          spool.start(Xid{xid}, true);
          add(spool, Xid{xid}, 1, text);
          spool.stop();
        }
      },
      SpillFailed);
  EXPECT_LE(spool.bytes(), options_.bytes_max);
  EXPECT_GT(spool.bytes(), 800'000U);
}

TEST_F(TransactionSpoolTest, FilesAreForTheOwnerAloneAndHaveNoName) {
  SpillFile file(options_.directory);
  file.append(std::as_bytes(std::span("x", 1)));
  EXPECT_TRUE(std::filesystem::is_empty(options_.directory));
  struct stat facts{};
  ASSERT_EQ(fstat(file.descriptor(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777U, 0600U);
  EXPECT_EQ(facts.st_nlink, 0U);
}

TEST_F(TransactionSpoolTest, EachDamagedByteIsNoticed) {
  const std::string text = "forty-two bytes of a row that matters to us";
  for (off_t at = 0; at < static_cast<off_t>(text.size() + 16); ++at) {
    SpillFile file(options_.directory);
    file.append(std::as_bytes(std::span(text)));
    char byte = 0;
    ASSERT_EQ(pread(file.descriptor(), &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 0x10);
    ASSERT_EQ(pwrite(file.descriptor(), &byte, 1, at), 1);
    std::vector<std::byte> block;
    EXPECT_THROW(static_cast<void>(file.read(block)), SpillFailed) << "byte " << at;
  }
}

TEST_F(TransactionSpoolTest, ADirectoryThatIsNotThereIsNamed) {
  options_.directory += "/missing";
  TransactionSpool spool(options_);
  try {
    spool.start(Xid{7}, true);
    FAIL();
  } catch (const SpillFailed& error) {
    EXPECT_NE(std::string(error.what()).find(options_.directory), std::string::npos) << error.what();
  }
}

TEST_F(TransactionSpoolTest, C8MessagesOutOfOrderStopTheLink) {
  TransactionSpool spool(options_);
  EXPECT_THROW(spool.stop(), Stopped);
  EXPECT_THROW(add(spool, Xid{7}, 1, "a"), Stopped);
  spool.start(Xid{7}, true);
  EXPECT_THROW(spool.start(Xid{8}, true), Stopped);
  EXPECT_THROW(static_cast<void>(spool.take(Xid{7})), Stopped);
  EXPECT_THROW(spool.abort(Xid{7}, Xid{7}), Stopped);
}

TEST_F(TransactionSpoolTest, C8BlockWhoseTransactionBeganElsewhereStopsTheLink) {
  TransactionSpool spool(options_);
  EXPECT_THROW(spool.start(Xid{7}, false), Stopped) << "its first blocks would be lost";
  spool.start(Xid{7}, true);
  spool.stop();
  EXPECT_THROW(spool.start(Xid{7}, true), Stopped) << "two transactions would become one";
  spool.abort(Xid{7}, Xid{7});
  EXPECT_THROW(spool.start(Xid{7}, false), Stopped) << "it was rolled back";
}

}  // namespace
}  // namespace teal
