#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace teal::test {

/// The clock of a server that shows another time than this machine's, and can be set while the server runs: a library
/// (preload/other_clock.cc) adds the number in a file whenever the server asks for the time. Errors: std::system_error
/// and std::filesystem::filesystem_error from the constructor and `set`, when a file cannot be written.
class FakeClock {
 public:
  /// `offset`: seconds with a sign, "+3600".
  explicit FakeClock(const std::string& offset) { set(offset); }

  void set(const std::string& offset) const;
  /// For PgServerOptions.
  [[nodiscard]] std::vector<std::string> environment() const;

 private:
  const std::filesystem::path directory_ = new_directory();
  /// With a copy of the library, which the server's user may not be able to read where it was built.
  static std::filesystem::path new_directory();
};

}  // namespace teal::test
