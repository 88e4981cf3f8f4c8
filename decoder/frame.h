#pragma once
#include <cstddef>
#include <cstdlib>
#include <new>
#include <span>
#include <utility>

namespace teal {

/// Owns the bytes of one received COPY message, or of one that was read back from where it was kept.
/// The deleter is a plain function so that libpq's memory can be owned here without knowing libpq.
/// Lifetime: views into `bytes()` live as long as the frame; moving a frame does not move its bytes.
class Frame {
 public:
  using Deleter = void (*)(void*);

  Frame() = default;
  Frame(std::byte* data, std::size_t size, Deleter deleter) : data_(data), size_(size), deleter_(deleter) {}
  Frame(Frame&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), deleter_(other.deleter_) {}
  Frame& operator=(Frame&& other) noexcept {
    if (this != &other) {
      reset();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
      deleter_ = other.deleter_;
    }
    return *this;
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() { reset(); }

  /// A frame of `size` bytes of its own, for the caller to fill through `writable_bytes`. Errors: std::bad_alloc.
  [[nodiscard]] static Frame of_size(std::size_t size) {
    // Never zero bytes: for those, malloc may give a null pointer.
    auto* const data = static_cast<std::byte*>(std::malloc(size == 0 ? 1 : size));
    if (data == nullptr) throw std::bad_alloc();
    return Frame(data, size, std::free);
  }

  [[nodiscard]] std::span<std::byte> writable_bytes() { return {data_, size_}; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  void reset() {
    if (data_ != nullptr) deleter_(data_);
    data_ = nullptr;
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  Deleter deleter_ = std::free;
};

}  // namespace teal
