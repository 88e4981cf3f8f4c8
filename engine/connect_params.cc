#include "engine/connect_params.h"

#include "engine/pg_error.h"
#include "engine/pg_handle.h"

namespace teal {
namespace {

// libpq quotes the whole connection string, password included, after the position of a syntax error.
std::string without_quoted_conninfo(const std::string& text) {
  const std::size_t quote = text.find(": \"");
  return quote == std::string::npos ? text : text.substr(0, quote);
}

// PGOPTIONS, PGCONNECT_TIMEOUT and the service of PGSERVICE count where the connection string says nothing.
void add_defaults_of_environment(ConnectParams& params) {
  const ConninfoHandle defaults(PQconndefaults());
  if (!defaults) return;
  for (const PQconninfoOption* option = defaults.get(); option->keyword != nullptr; ++option) {
    const std::string_view key = option->keyword;
    const bool ours =
        key == "options" || key == "connect_timeout" || key.starts_with("keepalives") || key == "tcp_user_timeout";
    if (ours && option->val != nullptr && *option->val != '\0') params.set_default(option->keyword, option->val);
  }
}

}  // namespace

std::string trimmed(const char* text) {
  std::string out = text == nullptr ? "" : text;
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  for (char& c : out) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return out;
}

ConnectParams connect_params(const ConnectOptions& options) {
  char* error = nullptr;
  const ConninfoHandle parsed(PQconninfoParse(options.conninfo.c_str(), &error));
  if (!parsed) {
    const TextHandle text(error);
    throw PgError("read the connection string of " + options.label, without_quoted_conninfo(trimmed(text.get())),
                  "08001");
  }
  ConnectParams params;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    const std::string_view key = option->keyword;
    if (option->val == nullptr || key == "client_encoding" || key == "replication") continue;
    if (key == "application_name" && !options.application_name.empty()) continue;
    params.set(option->keyword, option->val);
  }
  params.set("application_name", options.application_name);
  params.set("client_encoding", "UTF8");
  if (options.replication) params.set("replication", "database");
  // What we set would outrank a service file of the connection string, which only libpq reads.
  if (params.has("service")) return params;
  add_defaults_of_environment(params);
  params.set_default("connect_timeout", std::to_string(options.connect_timeout.count()));
  // A peer that vanished without a word is noticed within half a minute, not after the kernel's two hours.
  params.set_default("keepalives_idle", "10");
  params.set_default("keepalives_interval", "5");
  params.set_default("keepalives_count", "3");
  // On a session that writes rows, this one would also end the wait for a lock: the kernel counts the time for which
  // the server leaves what was sent unread. There, `check_peer` does its work.
  if (options.replication) params.set_default("tcp_user_timeout", "30000");
  // A role's timeout of a few milliseconds would end the very statement that pins the settings. These are known to
  // every supported server; what comes from the client outranks the role (manual: config-setting).
  params.append("options", "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0");
  return params;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(text.c_str());
  out.push_back(nullptr);
  return out;
}

}  // namespace teal
