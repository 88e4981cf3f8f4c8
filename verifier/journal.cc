#include "verifier/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/pg_error.h"

namespace teal {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kHashDigits = 16;
constexpr const char* kFirst = "{\"begun\":";  // after its hash, every such file begins like this
constexpr mode_t kOwnerOnly = 0600;

std::string hash_of(const std::string& text) {
  char digits[kHashDigits + 1];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  return digits;
}

// Keys are whatever bytes the server sends.
std::string hex(const std::string& bytes) {
  static constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string unhex(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

Json bound(const std::optional<KeyValues>& values) {
  if (!values) return nullptr;
  Json list = Json::array();
  for (const std::string& value : *values) list.push_back(hex(value));
  return list;
}

std::optional<KeyValues> bound_of(const Json& list) {
  if (list.is_null()) return std::nullopt;
  KeyValues values;
  for (const Json& value : list) values.push_back(unhex(value.get<std::string>()));
  return values;
}

std::string read_all(int descriptor) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

}  // namespace

std::string journal_signature(const ComparedTable& table, const std::string& blue, const std::string& green) {
  std::string facts = to_string(table.blue.name) + " " + blue + " " + green;
  for (const std::string& column : table.columns) facts += " " + column;
  for (const ComparedKey& key : table.key) {
    facts += " " + quote_identifier(key.name) + " " + key.type + " " + std::to_string(static_cast<int>(key.order));
  }
  return hash_of(facts);
}

VerifyJournal::VerifyJournal(std::string file, const JournalScope& scope, const std::string& now)
    : file_(std::move(file)) {
  descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, kOwnerOnly);
  if (descriptor_ < 0) refuse(std::strerror(errno));
  try {
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) refuse("another comparison uses it");
    load(scope);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
  goes_on_ = !begun_.empty();
  if (goes_on_) return;
  begun_ = now;
  add_line(Json{{"begun", now},
                {"migration", scope.migration},
                {"blue", scope.blue},
                {"green", scope.green},
                {"hashed", scope.hashed}}
               .dump());
}

VerifyJournal::~VerifyJournal() { ::close(descriptor_); }

// What follows the last whole line is cut off, so that the next one begins a line.
void VerifyJournal::load(const JournalScope& scope) {
  const std::string text = read_all(descriptor_);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    const bool whole = end != std::string::npos && line.size() > kHashDigits &&
                       line.substr(0, kHashDigits) == hash_of(line.substr(kHashDigits));
    if (!whole) {
      if (end != std::string::npos && end + 1 < text.size()) refuse("it is damaged, or is no such file");
      if (at == 0 && text.compare(std::min(kHashDigits, text.size()), std::strlen(kFirst), kFirst) != 0)
        refuse("it is no such file");
      break;
    }
    take_line(line.substr(kHashDigits), scope);
    at = end + 1;
  }
  if (at < text.size() && ::ftruncate(descriptor_, static_cast<off_t>(at)) != 0) refuse(std::strerror(errno));
}

void VerifyJournal::take_line(const std::string& line, const JournalScope& scope) {
  try {
    const Json entry = Json::parse(line);
    if (entry.contains("begun")) {
      const JournalScope known{entry.at("migration"), entry.at("blue"), entry.at("green"), entry.at("hashed")};
      begun_ = entry.at("begun");
      if (known.migration != scope.migration) refuse("it is of the migration " + known.migration);
      if (known.blue != scope.blue) refuse("blue was another database");
      if (known.green != scope.green) refuse("green was another database");
      if (known.hashed != scope.hashed) refuse("rows were hashed " + known.hashed + ", and are now " + scope.hashed);
    } else if (entry.contains("cut")) {
      std::vector<JournalRange>& ranges = tables_[entry.at("table")];
      ranges.clear();
      for (const Json& range : entry.at("cut")) ranges.push_back({{bound_of(range.at(0)), bound_of(range.at(1))}});
    } else if (entry.contains("wanted")) {
      wanted_[entry.at("wanted")] = entry.at("table");
    } else {
      tables_.at(entry.at("table")).at(entry.at("range").get<std::size_t>()).equal_rows = entry.at("rows");
    }
  } catch (const Json::exception&) {
    refuse("it is of another version of teal");
  } catch (const std::out_of_range&) {
    refuse("it is of another version of teal");
  }
}

void VerifyJournal::want(const std::string& name, const std::string& signature) {
  std::string& wanted = wanted_[hash_of(name)];
  if (wanted == signature) return;
  wanted = signature;
  add_line(Json{{"wanted", hash_of(name)}, {"table", signature}}.dump());
}

bool VerifyJournal::complete() const {
  return std::all_of(wanted_.begin(), wanted_.end(), [&](const auto& wanted) {
    const auto known = tables_.find(wanted.second);
    return known != tables_.end() && std::all_of(known->second.begin(), known->second.end(),
                                                 [](const auto& range) { return range.equal_rows.has_value(); });
  });
}

const std::vector<JournalRange>* VerifyJournal::ranges(const std::string& signature) const {
  const auto known = tables_.find(signature);
  if (known == tables_.end()) return nullptr;
  for (const JournalRange& range : known->second) rows_taken_over_ += range.equal_rows.value_or(0);
  return &known->second;
}

void VerifyJournal::cut(const std::string& signature, const std::vector<KeyRange>& ranges) {
  Json list = Json::array();
  std::vector<JournalRange>& known = tables_[signature];
  known.clear();
  for (const KeyRange& range : ranges) {
    list.push_back(Json::array({bound(range.from), bound(range.to)}));
    known.push_back({range});
  }
  add_line(Json{{"table", signature}, {"cut", list}}.dump());
}

void VerifyJournal::found_equal(const std::string& signature, std::size_t range, std::uint64_t rows) {
  tables_.at(signature).at(range).equal_rows = rows;
  add_line(Json{{"table", signature}, {"range", range}, {"rows", rows}}.dump());
}

// With O_APPEND and one write for each, a kill leaves whole lines and perhaps a part of the last.
void VerifyJournal::add_line(const std::string& text) {
  if (!failure_.empty()) return;
  const std::string line = hash_of(text) + text + "\n";
  const ssize_t written = ::write(descriptor_, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) failure_ = written < 0 ? std::strerror(errno) : "the disk is full";
}

void VerifyJournal::remove() { ::unlink(file_.c_str()); }

void VerifyJournal::refuse(const std::string& why) const {
  throw Stopped(StopCode::kUsage, "cannot go on with the comparison in " + file_ + ": " + why +
                                      "; remove the file to begin anew, or name another");
}

}  // namespace teal
