#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace teal::test {

/// The clock of a server that shows another time than this machine's, and can be set while the server runs: libfaketime
/// reads the offset from a file whenever the server asks for the time. Errors: std::runtime_error when it is not
/// installed.
class FakeClock {
 public:
  /// `offset`: seconds with a sign, "+3600".
  explicit FakeClock(const std::string& offset) { set(offset); }

  void set(const std::string& offset) const;
  /// For PgServerOptions.
  [[nodiscard]] std::vector<std::string> environment() const;

 private:
  const std::filesystem::path file_ = new_file();
  static std::filesystem::path new_file();
};

}  // namespace teal::test
