#include "engine/pg_pipeline.h"

#include <chrono>

#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kStopCheck{100};

}  // namespace

PgPipeline::PgPipeline(PgConnection& connection) : connection_(connection) {
  if (PQenterPipelineMode(connection_.raw()) == 0) connection_.raise("enter pipeline mode", nullptr);
}

void PgPipeline::note(std::string_view operation, int sent) {
  if (sent == 0) connection_.raise(operation, nullptr);
  operations_.push_back(operation);
  // What the socket takes now need not wait in libpq's buffer.
  if (PQflush(connection_.raw()) < 0) connection_.raise(operation, nullptr);
}

void PgPipeline::query(std::string_view operation, const std::string& sql) { query(operation, sql, {}); }

void PgPipeline::query(std::string_view operation, const std::string& sql, std::span<const Param> params) {
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const Param& param : params) values.push_back(param ? param->c_str() : nullptr);
  note(operation, PQsendQueryParams(connection_.raw(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                                    values.data(), nullptr, nullptr, 0));
}

void PgPipeline::prepare(std::string_view operation, const std::string& name, const std::string& sql,
                         std::span<const Oid> types) {
  note(operation,
       PQsendPrepare(connection_.raw(), name.c_str(), sql.c_str(), static_cast<int>(types.size()), types.data()));
}

void PgPipeline::execute(std::string_view operation, const std::string& name, std::span<const BinaryParam> params,
                         ResultForm form) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const BinaryParam& param : params) {
    values.push_back(param.data);
    lengths.push_back(static_cast<int>(param.size));
  }
  const std::vector<int> formats(params.size(), 1);
  note(operation, PQsendQueryPrepared(connection_.raw(), name.c_str(), static_cast<int>(params.size()), values.data(),
                                      lengths.data(), formats.data(), static_cast<int>(form)));
}

std::optional<PipelineFailure> PgPipeline::run(std::vector<ResultHandle>& results) {
  PGconn* raw = connection_.raw();
  if (PQpipelineSync(raw) == 0) connection_.raise("end the pipeline", nullptr);
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
