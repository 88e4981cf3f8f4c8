#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace teal::test {

/// The directory of this test process, below TEAL_TEST_DIR or else /tmp. Made at first use and
/// removed at the process' end, also on SIGTERM and SIGINT; what a SIGKILL leaves, tests/run.sh removes.
/// Anybody may look into it (servers run as another user); its name is short, since socket paths are limited.
[[nodiscard]] const std::filesystem::path& scratch_directory();

/// Makes a new directory in it: `prefix` and a number.
[[nodiscard]] std::filesystem::path make_scratch_directory(std::string_view prefix);

/// Removes a tree; a server that is just ending may still be writing to it, so it is tried for some seconds.
/// Errors: std::runtime_error.
void remove_tree(const std::filesystem::path& path);

/// From now on SIGTERM, SIGINT and SIGHUP kill this process' children, remove the directory and end the process.
/// Threads: call it before any other thread is started.
void clean_up_on_signals();

/// The whole text of a file, "" when there is none.
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

/// Errors: std::runtime_error.
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace teal::test
