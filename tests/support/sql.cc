#include "tests/support/sql.h"

#include <poll.h>

#include <algorithm>

namespace teal::test {
namespace {

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out.push_back(quote);
    out.push_back(c);
  }
  return out + quote;
}

SqlRows rows_of(const PGresult* result) {
  SqlRows rows;
  for (int row = 0; row < PQntuples(result); ++row) {
    SqlRow& values = rows.emplace_back();
    for (int column = 0; column < PQnfields(result); ++column) {
      if (PQgetisnull(result, row, column) != 0) {
        values.emplace_back(std::nullopt);
      } else {
        values.emplace_back(
            std::string(PQgetvalue(result, row, column), static_cast<std::size_t>(PQgetlength(result, row, column))));
      }
    }
  }
  return rows;
}

}  // namespace

Sql::Sql(const std::string& conninfo) : connection_(PQconnectdb((conninfo + " connect_timeout=10").c_str())) {
  if (PQstatus(connection_.get()) != CONNECTION_OK) fail(nullptr);
  PQsetNoticeReceiver(connection_.get(), [](void*, const PGresult*) {}, nullptr);
}

void Sql::fail(const PGresult* result) {
  const char* state = result != nullptr ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  const char* text = result != nullptr ? PQresultErrorMessage(result) : PQerrorMessage(connection_.get());
  throw SqlError(text, state != nullptr ? state : "");
}

void Sql::wait_readable(TimePoint end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  pollfd waited{PQsocket(connection_.get()), POLLIN, 0};
  if (::poll(&waited, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0))) <= 0) {
    throw SqlError("no answer within " + std::to_string(deadline_.count()) + " ms", "");
  }
  if (PQconsumeInput(connection_.get()) == 0) fail(nullptr);
}

ResultHandle Sql::next_result(TimePoint end) {
  while (PQisBusy(connection_.get()) != 0) wait_readable(end);
  return ResultHandle(PQgetResult(connection_.get()));
}

ResultHandle Sql::last_result() {
  const TimePoint end = end_of_call();
  ResultHandle last;
  ResultHandle error;
  while (ResultHandle result = next_result(end)) {
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) return result;
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      error = std::move(result);
    } else {
      last = std::move(result);
    }
  }
  if (error) fail(error.get());
  if (!last) fail(nullptr);
  return last;
}

void Sql::send(const std::string& statements) {
  if (PQsendQuery(connection_.get(), statements.c_str()) == 0) fail(nullptr);
}

SqlRows Sql::finish() { return rows_of(last_result().get()); }

bool Sql::busy() {
  if (PQconsumeInput(connection_.get()) == 0) fail(nullptr);
  return PQisBusy(connection_.get()) != 0;
}

bool Sql::alive() {
  // A farewell of the server may lie before the end of the stream: read until nothing is left.
  pollfd waited{PQsocket(connection_.get()), POLLIN, 0};
  while (::poll(&waited, 1, 0) > 0) {
    if (PQconsumeInput(connection_.get()) == 0) return false;
  }
  return PQstatus(connection_.get()) == CONNECTION_OK;
}

SqlRows Sql::rows(const std::string& statements) {
  send(statements);
  return finish();
}

std::string Sql::value(const std::string& query) {
  SqlRows result = rows(query);
  if (result.size() != 1 || result[0].size() != 1 || !result[0][0]) {
    throw std::runtime_error("not one value but " + std::to_string(result.size()) + " rows: " + query);
  }
  return *std::move(result[0][0]);
}

std::string Sql::sqlstate_of(const std::string& statements) {
  try {
    rows(statements);
  } catch (const SqlError& error) {
    if (error.sqlstate().empty()) throw;
    return error.sqlstate();
  }
  return "";
}

std::vector<std::string> Sql::copy_out(const std::string& statement) {
  send(statement);
  last_result();
  const TimePoint end = end_of_call();
  std::vector<std::string> lines;
  for (;;) {
    char* buffer = nullptr;
    const int size = PQgetCopyData(connection_.get(), &buffer, 1);
    if (size > 0) {
      const Frame frame = frame_from_copy_buffer(buffer, static_cast<std::size_t>(size));
      lines.emplace_back(reinterpret_cast<const char*>(frame.bytes().data()), frame.bytes().size());
    } else if (size == 0) {
      wait_readable(end);
    } else {
      last_result();
      return lines;
    }
  }
}

void Sql::copy_in(const std::string& statement, const std::vector<std::string>& lines) {
  send(statement);
  last_result();
  for (const std::string& line : lines) {
    if (PQputCopyData(connection_.get(), line.data(), static_cast<int>(line.size())) != 1) fail(nullptr);
  }
  if (PQputCopyEnd(connection_.get(), nullptr) != 1) fail(nullptr);
  last_result();
}

std::string sql_name(std::string_view name) { return quoted(name, '"'); }
std::string sql_text(std::string_view text) { return quoted(text, '\''); }

}  // namespace teal::test
