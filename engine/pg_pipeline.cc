#include "engine/pg_pipeline.h"

#include <chrono>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kStopCheck{100};
// Below it everything leaves together at the pipeline's end: each send wakes the server up.
constexpr std::size_t kSendBytes = 16U << 10U;

}  // namespace

PgPipeline::PgPipeline(PgConnection& connection) : connection_(connection) {
  if (PQenterPipelineMode(connection_.raw()) == 0) connection_.raise("enter pipeline mode", nullptr);
}

void PgPipeline::note(std::string_view operation, int sent, std::size_t bytes) {
  if (sent == 0) connection_.raise(operation, nullptr);
  operations_.push_back(operation);
  unsent_ += bytes;
  if (unsent_ < kSendBytes) return;
  // What the socket takes now need not wait in libpq's buffer, and the server works on it meanwhile.
  if (PQflush(connection_.raw()) < 0) connection_.raise(operation, nullptr);
  unsent_ = 0;
}

void PgPipeline::query(std::string_view operation, const std::string& sql) { query(operation, sql, {}); }

void PgPipeline::query(std::string_view operation, const std::string& sql, std::span<const Param> params) {
  const std::vector<const char*> values = c_strings(params);
  note(operation,
       PQsendQueryParams(connection_.raw(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                         nullptr, nullptr, 0),
       sql.size());
}

std::size_t PgPipeline::query_often(std::string_view operation, const std::string& sql,
                                    std::initializer_list<Param> params) {
  const auto [name, is_new] = connection_.often_name(sql);
  if (is_new) prepare(operation, name, sql, {});
  const std::vector<const char*> values = c_strings({params.begin(), params.size()});
  note(operation,
       PQsendQueryPrepared(connection_.raw(), name.c_str(), static_cast<int>(values.size()), values.data(), nullptr,
                           nullptr, 0),
       name.size());
  return size() - 1;
}

void PgPipeline::prepare(std::string_view operation, const std::string& name, const std::string& sql,
                         std::span<const Oid> types) {
  note(operation,
       PQsendPrepare(connection_.raw(), name.c_str(), sql.c_str(), static_cast<int>(types.size()), types.data()),
       sql.size());
}

void PgPipeline::execute(std::string_view operation, const std::string& name, std::span<const BinaryParam> params,
                         ResultForm form) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::size_t bytes = name.size();
  for (const BinaryParam& param : params) {
    values.push_back(param.data);
    lengths.push_back(static_cast<int>(param.size));
    bytes += param.size;
  }
  const std::vector<int> formats(params.size(), 1);
  note(operation,
       PQsendQueryPrepared(connection_.raw(), name.c_str(), static_cast<int>(params.size()), values.data(),
                           lengths.data(), formats.data(), static_cast<int>(form)),
       bytes);
}

void PgPipeline::end() {
  if (std::exchange(ended_, true)) return;
  if (PQpipelineSync(connection_.raw()) == 0) connection_.raise("end the pipeline", nullptr);
}

std::optional<PipelineFailure> PgPipeline::run(std::vector<ResultHandle>& results) {
  PGconn* raw = connection_.raw();
  end();
  results.clear();
  results.resize(operations_.size());
  std::optional<PipelineFailure> failure;
  std::size_t index = 0;
  const auto start = std::chrono::steady_clock::now();
  std::optional<std::chrono::steady_clock::time_point> cancelled;
  for (;;) {
    const int unsent = PQflush(raw);
    if (unsent < 0) connection_.raise("send the pipeline", nullptr);
    if (PQisBusy(raw) != 0) {
      if (connection_.stop_requested() && !cancelled) {
        connection_.cancel();
        cancelled = std::chrono::steady_clock::now();
      }
      if (cancelled) connection_.check_cancel_answered("cancel the pipeline", *cancelled);
      if (!connection_.wait_socket(unsent > 0, kStopCheck)) {
        connection_.tell_waiting(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start));
      } else if (PQconsumeInput(raw) == 0) {
        connection_.raise(index < operations_.size() ? operations_[index] : "end the pipeline", nullptr);
      }
      continue;
    }
    ResultHandle result(PQgetResult(raw));
    if (!result) {  // the end of one statement's results
      ++index;
      if (PQstatus(raw) != CONNECTION_OK) connection_.raise("read the pipeline's results", nullptr);
      continue;
    }
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_PIPELINE_SYNC) break;
    if (status == PGRES_PIPELINE_ABORTED || index >= operations_.size()) continue;
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      if (!failure) failure = PipelineFailure{index, std::move(result)};
    } else {
      results[index] = std::move(result);
    }
  }
  if (PQexitPipelineMode(raw) == 0) connection_.raise("leave pipeline mode", nullptr);
  return failure;
}

std::vector<ResultHandle> PgPipeline::run_or_throw() {
  std::vector<ResultHandle> results;
  if (auto failure = run(results)) connection_.raise(operations_[failure->index], failure->result.get());
  return results;
}

}  // namespace teal
