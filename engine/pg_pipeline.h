#pragma once
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pg_connection.h"

namespace teal {

/// A parameter in the server's binary format; a null `data` is NULL.
/// Lifetime: the bytes must live until the call that takes them returns.
struct BinaryParam {
  const char* data = nullptr;
  std::size_t size = 0;
};

/// How the server sends a statement's rows.
enum class ResultForm : int { kText = 0, kBinary = 1 };

/// A failed statement of a pipeline: which one, and what the server said.
struct PipelineFailure {
  std::size_t index = 0;  ///< of the call, from 0
  ResultHandle result;
};

/// Sends several statements in one go and reads their results in order (libpq's pipeline mode).
/// After the first failure the server skips the rest up to the end of the pipeline.
/// Threads: one. The connection must not be used otherwise between construction and the end of `run`; a pipeline that
/// was begun and not run leaves it unusable.
/// Errors: PgError when the connection breaks.
/// Source: PostgreSQL manual, "Pipeline Mode".
class PgPipeline {
 public:
  explicit PgPipeline(PgConnection& connection);
  ~PgPipeline() = default;
  PgPipeline(const PgPipeline&) = delete;
  PgPipeline& operator=(const PgPipeline&) = delete;

  void query(std::string_view operation, const std::string& sql);
  void query(std::string_view operation, const std::string& sql, std::span<const Param> params);
  /// The same for one of a few constant texts that the session sends again and again: parsed and planned once. After a
  /// pipeline that failed, PgConnection::forget_prepared has to come before the next. Returns the call's index.
  std::size_t query_often(std::string_view operation, const std::string& sql, std::initializer_list<Param> params = {});
  void prepare(std::string_view operation, const std::string& name, const std::string& sql, std::span<const Oid> types);
  void execute(std::string_view operation, const std::string& name, std::span<const BinaryParam> params,
               ResultForm form = ResultForm::kText);

  /// Sends what was not sent yet, and that it was the last; `run` does it where nobody has.
  void end();

  /// Ends the pipeline and waits for all results. `results` gets one entry per call, in order, those of failed and
  /// skipped calls empty. Returns the first failure, if there was one.
  std::optional<PipelineFailure> run(std::vector<ResultHandle>& results);

  /// As above, but throws PgError for the first failure.
  std::vector<ResultHandle> run_or_throw();

  [[nodiscard]] std::size_t size() const { return operations_.size(); }

 private:
  void note(std::string_view operation, int sent, std::size_t bytes);

  PgConnection& connection_;
  std::vector<std::string_view> operations_;
  std::size_t unsent_ = 0;
  bool ended_ = false;
};

}  // namespace teal
