#include "applier/copy_rows.h"

#include <algorithm>
#include <string_view>

#include "engine/pg_error.h"

namespace teal {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kSignature = "PGCOPY\n\377\r\n\0"sv;
constexpr std::size_t kSendBytes = 64U << 10U;  // so that the server works on rows while others are put together

}  // namespace

bool can_copy(const RowGroup& group) {
  if (group.shape.kind != StatementKind::kInsert || group.shape.columns.empty() || group.table->has_rules) return false;
  return std::all_of(group.shape.columns.begin(), group.shape.columns.end(),
                     [&](std::uint16_t ordinal) { return group.table->columns[ordinal].binary; });
}

void CopyRows::append_int16(int value) {
  const auto bits = static_cast<std::uint16_t>(value);
  buffer_.push_back(static_cast<char>(bits >> 8U));
  buffer_.push_back(static_cast<char>(bits & 0xffU));
}

void CopyRows::append_int32(int value) {
  const auto bits = static_cast<std::uint32_t>(value);
  append_int16(static_cast<int>(bits >> 16U));
  append_int16(static_cast<int>(bits & 0xffffU));
}

void CopyRows::send(const RowGroup& group, CopyIn& copy) {
  buffer_ = kSignature;
  append_int32(0);  // flags
  append_int32(0);  // no extension of the header
  for (const NetRow* row : group.rows) {
    append_int16(static_cast<int>(group.shape.columns.size()));
    for (const std::uint16_t ordinal : group.shape.columns) {
      const ColumnValue& value = row->values[ordinal];
      if (value.kind == ColumnKind::kNull) {
        append_int32(-1);
        continue;
      }
      if (value.kind != ColumnKind::kBinary) {
        throw Stopped(StopCode::kBug, "a column value of another form reached a COPY");
      }
      append_int32(static_cast<int>(value.size));
      buffer_.append(value.text());  // its bytes, whatever their form
    }
    if (buffer_.size() < kSendBytes) continue;
    copy.write(buffer_);
    buffer_.clear();
  }
  append_int16(-1);
  copy.write(buffer_);
}

}  // namespace teal
