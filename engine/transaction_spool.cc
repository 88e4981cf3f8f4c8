#include "engine/transaction_spool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::size_t kBlockBytes = 256U << 10U;

struct RecordHeader {
  std::uint64_t lsn;
  std::uint32_t xid;
  std::uint32_t size;
};

void append_to(std::vector<std::byte>& block, std::span<const std::byte> bytes) {
  block.insert(block.end(), bytes.begin(), bytes.end());
}

[[noreturn]] void out_of_order(const char* what, Xid xid) {
  throw Stopped(StopCode::kData, std::string("the source's stream is out of order: ") + what + " of transaction " +
                                     std::to_string(xid.value) + "; please report this with the server's version");
}

Frame copy_of(std::span<const std::byte> bytes) {
  auto* data = static_cast<std::byte*>(std::malloc(std::max<std::size_t>(bytes.size(), 1)));
  if (data == nullptr) throw std::bad_alloc();
  std::memcpy(data, bytes.data(), bytes.size());
  return {data, bytes.size(), std::free};
}

}  // namespace

SpooledTransaction::SpooledTransaction(SpillFile file, std::vector<Xid> aborted)
    : file_(std::move(file)), aborted_(std::move(aborted)) {
  std::sort(aborted_.begin(), aborted_.end());
}

std::optional<SpooledMessage> SpooledTransaction::next() {
  for (;;) {
    if (at_ == block_.size()) {
      at_ = 0;
      if (!file_.read(block_)) return std::nullopt;
    }
    RecordHeader header{};
    std::memcpy(&header, &block_[at_], sizeof header);
    const std::span<const std::byte> message(&block_[at_ + sizeof header], header.size);
    at_ += sizeof header + header.size;
    if (std::binary_search(aborted_.begin(), aborted_.end(), Xid{header.xid})) continue;
    return SpooledMessage{Lsn{header.lsn}, copy_of(message)};
  }
}

void TransactionSpool::start(Xid transaction, bool first) {
  if (open_ != nullptr) out_of_order("a block inside another one", transaction);
  auto known = transactions_.find(transaction.value);
  const bool is_known = known != transactions_.end();
  if (is_known == first) out_of_order(first ? "a second first block" : "a later block without the first", transaction);
  if (first) known = transactions_.emplace(transaction.value, Open{SpillFile(options_.directory), {}}).first;
  open_ = &known->second;
}

void TransactionSpool::stop() {
  if (open_ == nullptr) out_of_order("the end of a block that did not begin", Xid{});
  write_block();
  open_ = nullptr;
}

void TransactionSpool::add(Xid xid, Lsn lsn, std::byte tag, std::span<const std::byte> body) {
  if (open_ == nullptr) out_of_order("a change outside of a block", xid);
  const RecordHeader header{lsn.value, xid.value, static_cast<std::uint32_t>(body.size() + 1)};
  if (!block_.empty() && block_.size() + sizeof header + header.size > kBlockBytes) write_block();
  append_to(block_, std::as_bytes(std::span(&header, 1)));
  block_.push_back(tag);
  append_to(block_, body);
  if (block_.size() > kBlockBytes) write_block();  // one copy of a large row less stays in memory
}

void TransactionSpool::abort(Xid transaction, Xid subtransaction) {
  if (open_ != nullptr) out_of_order("a rollback inside a block", transaction);
  const auto known = transactions_.find(transaction.value);
  if (known == transactions_.end()) return;  // nothing of it is here, so nothing has to go
  if (transaction == subtransaction) {
    transactions_.erase(known);
  } else {
    known->second.aborted.push_back(subtransaction);
  }
}

std::optional<SpooledTransaction> TransactionSpool::take(Xid transaction) {
  if (open_ != nullptr) out_of_order("a commit inside a block", transaction);
  auto node = transactions_.extract(transaction.value);
  if (node.empty()) return std::nullopt;
  return SpooledTransaction(std::move(node.mapped().file), std::move(node.mapped().aborted));
}

std::uint64_t TransactionSpool::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [xid, open] : transactions_) sum += open.file.bytes();
  return sum;
}

void TransactionSpool::write_block() {
  if (block_.empty()) return;
  if (bytes() + block_.size() > options_.bytes_max) {
    throw SpillFailed("spilling to " + options_.directory + ": open transactions on the source need more than the " +
                      std::to_string(options_.bytes_max) + " bytes of apply.spill_bytes_max");
  }
  open_->file.append(block_);
  block_.clear();
  if (block_.capacity() > 2 * kBlockBytes) block_.shrink_to_fit();
}

}  // namespace teal
