#include "tools/pooler_config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view stripped(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

struct Span {
  std::size_t from = 0;
  std::size_t size = 0;
};

// The right side of `database = ...` in the text.
std::optional<Span> find_value(const std::string& ini, const std::string& database) {
  bool databases = false;
  std::optional<Span> found;
  for (std::size_t at = 0; at < ini.size();) {
    const std::size_t end = std::min(ini.find('\n', at), ini.size());
    const std::string_view line = std::string_view(ini).substr(at, end - at);
    const std::string_view text = stripped(line);
    const std::size_t equals = line.find('=');
    if (text.starts_with("[")) {
      databases = text == "[databases]";
    } else if (databases && !text.starts_with(";") && !text.starts_with("#") && equals != std::string_view::npos) {
      std::string_view name = stripped(line.substr(0, equals));
      if (name.size() > 1 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
      // Of several lines PgBouncer takes the last.
      if (name == database) found = Span{at + equals + 1, line.size() - equals - 1};
    }
    at = end + 1;
  }
  return found;
}

struct Setting {
  std::string key;
  std::string value;
  Span whole;  // in the text that was parsed
};

// key=value, where a value with blanks stands in quotes, doubled within.
std::vector<Setting> parse_settings(std::string_view text) {
  std::vector<Setting> settings;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(kBlank, at)) != std::string_view::npos) {
    const std::size_t equals = text.find('=', at);
    if (equals == std::string_view::npos) break;
    Setting setting{std::string(stripped(text.substr(at, equals - at))), "", {at, 0}};
    std::size_t next = text.find_first_not_of(kBlank, equals + 1);
    if (next == std::string_view::npos) next = text.size();
    if (next < text.size() && text[next] == '\'') {
      for (++next; next < text.size(); ++next) {
        if (text[next] == '\'' && !(next + 1 < text.size() && text[next + 1] == '\'')) break;
        if (text[next] == '\'') ++next;
        setting.value.push_back(text[next]);
      }
      next = std::min(next + 1, text.size());
    } else {
      const std::size_t end = std::min(text.find_first_of(kBlank, next), text.size());
      setting.value = text.substr(next, end - next);
      next = end;
    }
    setting.whole.size = next - setting.whole.from;
    settings.push_back(std::move(setting));
    at = next;
  }
  return settings;
}

std::string quoted(const std::string& value) {
  if (!value.empty() && value.find_first_of(" \t'=;#") == std::string::npos) return value;
  std::string text = "'";
  for (const char c : value) text += c == '\'' ? "''" : std::string(1, c);
  return text + "'";
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw Stopped(StopCode::kRefused, "the pooler's file " + file.string() + ": " + what);
}

}  // namespace

std::string to_string(const PoolerTarget& target) {
  return "host=" + target.host + " port=" + target.port + " dbname=" + target.dbname;
}

std::optional<PoolerTarget> read_pooler_target(const std::string& ini, const std::string& database) {
  const std::optional<Span> value = find_value(ini, database);
  if (!value) return std::nullopt;
  PoolerTarget target;
  for (const Setting& setting : parse_settings(std::string_view(ini).substr(value->from, value->size))) {
    if (setting.key == "host") target.host = setting.value;
    if (setting.key == "port") target.port = setting.value;
    if (setting.key == "dbname") target.dbname = setting.value;
  }
  return target;
}

std::string with_pooler_target(const std::string& ini, const std::string& database, const PoolerTarget& target) {
  const std::optional<Span> value = find_value(ini, database);
  if (!value) throw std::invalid_argument("no line for the database");
  std::string line = ini.substr(value->from, value->size);
  for (const auto& [key, wanted] :
       {std::pair<std::string, std::string>{"host", target.host}, {"port", target.port}, {"dbname", target.dbname}}) {
    // PgBouncer takes no empty values: a line without the key is what means one.
    const std::string replacement = wanted.empty() ? "" : key + "=" + quoted(wanted);
    bool found = false;
    for (const Setting& setting : parse_settings(line)) {
      if (setting.key != key) continue;
      line.replace(setting.whole.from, setting.whole.size, replacement);
      found = true;
      break;
    }
    if (found || replacement.empty()) continue;
    const std::size_t end = line.find_last_not_of(kBlank);
    line.insert(end == std::string::npos ? line.size() : end + 1, " " + replacement);
  }
  return ini.substr(0, value->from) + line + ini.substr(value->from + value->size);
}

std::string read_pooler_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) refuse(file, "it cannot be read: " + std::string(std::strerror(errno)));
  return text.str();
}

void replace_pooler_file(const std::filesystem::path& file, const std::string& text) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(file, error);
  if (error) refuse(file, error.message());
  struct stat old{};
  if (::stat(real.c_str(), &old) != 0) refuse(file, std::strerror(errno));
  const std::string next = real.string() + ".teal";
  const int out = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (out < 0) refuse(file, "its folder cannot be written: " + std::string(std::strerror(errno)));
  std::size_t written = 0;
  bool good = true;
  while (good && written < text.size()) {
    const ssize_t size = ::write(out, text.data() + written, text.size() - written);
    good = size > 0;
    if (good) written += static_cast<std::size_t>(size);
  }
  const bool same_owner = old.st_uid == ::geteuid() && old.st_gid == ::getegid();
  good = good && (same_owner || ::fchown(out, old.st_uid, old.st_gid) == 0) &&
         ::fchmod(out, old.st_mode & 07777U) == 0 && ::fsync(out) == 0;
  const int reason = errno;
  ::close(out);
  if (good && ::rename(next.c_str(), real.c_str()) == 0) {
    const int folder = ::open(real.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      ::fsync(folder);
      ::close(folder);
    }
    return;
  }
  const int rename_reason = good ? errno : reason;
  ::unlink(next.c_str());
  refuse(file, "it cannot be replaced: " + std::string(std::strerror(rename_reason)));
}

}  // namespace teal
